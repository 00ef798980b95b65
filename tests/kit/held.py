"""A Deployment under the hold policy of a real API server, with the rights of a GitOps tool and of a releaser.

`git` may do everything with Deployments; `releaser` may also release.  The Deployment controller runs, no kubelet
does: a roll shows as a new ReplicaSet.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rollout.observe.templates import digest
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.holdpolicy import MARKS, documents
from tests.kit.apiserver import ApiServer

GROUP = "apiVersion: rbac.authorization.k8s.io/v1"
IMAGES = "{.spec.template.spec.containers[0].image}"


def rights(namespace: str) -> str:
    """Who may do what in a namespace."""
    return f"""
{GROUP}
kind: Role
metadata: {{name: deployer, namespace: {namespace}}}
rules:
- {{apiGroups: [apps], resources: [deployments, deployments/scale, deployments/status, replicasets], verbs: ["*"]}}
---
{GROUP}
kind: Role
metadata: {{name: releaser, namespace: {namespace}}}
rules:
- {{apiGroups: [meshrollout.dev], resources: [canaryplans], verbs: [release]}}
---
{GROUP}
kind: RoleBinding
metadata: {{name: deployer, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}}
subjects: [{{kind: User, name: git}}, {{kind: User, name: releaser}}]
---
{GROUP}
kind: RoleBinding
metadata: {{name: releaser, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: releaser}}
subjects: [{{kind: User, name: releaser}}]
"""


def manifest(image: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Json:
    """What is in Git; the hold label is there unless said otherwise."""
    labels = {HOLD_LABEL: "web"} if labels is None else labels
    pod = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": image}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": pod, **spec},
    }


def eventually(true: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    for _ in range(100):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within 10 s: {what}")


@dataclass(frozen=True, slots=True)
class Web:
    """The Deployment `web` in a namespace of its own."""

    apiserver: ApiServer
    namespace: str

    def kubectl(self, *args: str, by: str = "git", stdin: str | None = None) -> str:
        return self.apiserver.kubectl("--namespace", self.namespace, "--as", by, *args, stdin=stdin)

    def apply(self, obj: Json, *options: str, by: str = "git") -> None:
        flux = ("--server-side", "--force-conflicts", "--field-manager=kustomize-controller")
        self.kubectl("apply", *flux, "-f", "-", *options, by=by, stdin=json.dumps(obj))

    def replace(self, obj: Json) -> None:
        self.kubectl("replace", "-f", "-", stdin=json.dumps(obj))

    def patch(self, ops: list[Json], by: str = "git") -> None:
        self.kubectl("patch", "deployment/web", "--type=json", "-p", json.dumps(ops), by=by)

    def release(self, token: str, by: str) -> None:
        """Everything that a release writes, by hand."""
        self.kubectl("annotate", "deployment/web", f"{RELEASE}={token}", f"{HELD}-", "--overwrite", by=by)
        self.kubectl("rollout", "resume", "deployment/web", by=by)

    def get(self) -> Json:
        found: Json = json.loads(self.kubectl("get", "deployment/web", "-o", "json"))
        return found

    def sets(self) -> list[Json]:
        """The ReplicaSets with pods, in the order in which they were made."""
        found = json.loads(self.kubectl("get", "replicasets", "-o", "json"))["items"]
        return [rs for rs in found if rs["spec"]["replicas"] > 0]

    def image_of(self, obj: Json) -> str:
        return str(obj["spec"]["template"]["spec"]["containers"][0]["image"])

    def rolls_to(self, image: str) -> None:
        eventually(lambda: image in {self.image_of(rs) for rs in self.sets()}, f"{image} has a ReplicaSet")

    def held(self) -> bool:
        """Held as a whole: paused, marked, labelled, and no ReplicaSet of what it asks for."""
        obj = self.get()
        notes, labels = obj["metadata"].get("annotations", {}), obj["metadata"].get("labels", {})
        marked = notes.get(HELD) in MARKS
        assert not marked or labels.get(HOLD_LABEL) == "web"
        assert not marked or digest(obj["spec"]["template"]) not in {digest(s["spec"]["template"]) for s in self.sets()}
        return marked and bool(obj["spec"].get("paused"))

    def marked(self) -> bool:
        return self.get()["metadata"].get("annotations", {}).get(HELD) in MARKS

    def paused(self) -> bool:
        return bool(self.get()["spec"].get("paused"))

    def started(self, image: str = "v1", **spec: Any) -> Web:
        self.kubectl("create", "-f", "-", stdin=json.dumps(manifest(image, **spec)))
        self.rolls_to(image)
        return self

    def holding(self, image: str = "v2") -> Web:
        """Started, and holding a new version."""
        self.started()
        self.kubectl("set", "image", "deployment/web", f"app={image}")
        assert self.held()
        return self


@pytest.fixture(scope="module")
def hold_policy(apiserver: ApiServer) -> None:
    """The shipped policy is in force."""
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents()})
    apiserver.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests)
    probe = json.dumps(manifest("v1", paused=True))
    done = "{.spec.paused}"
    create = ("create", "--dry-run=server", "-f", "-", "-o", f"jsonpath={done}", "-n", "default")
    eventually(lambda: apiserver.kubectl(*create, stdin=probe) != "true", "the policy is in force")


@pytest.fixture
def held_web(apiserver: ApiServer, hold_policy: None) -> Iterator[Web]:
    """A namespace for the Deployment."""
    namespace = f"hold-{uuid.uuid4().hex[:8]}"
    apiserver.kubectl("create", "namespace", namespace)
    apiserver.kubectl("apply", "-f", "-", stdin=rights(namespace))
    yield Web(apiserver, namespace)
    apiserver.kubectl("delete", "namespace", namespace, "--wait=false")
