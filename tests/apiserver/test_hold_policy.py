"""The hold policy on a real API server: what starts, what is held, and that nothing but a release frees it.

`git` may do everything with Deployments, like a GitOps tool; `releaser` may also release.  The Deployment controller
runs, no kubelet does: a roll shows as a new ReplicaSet.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rollout.act.release import end_hold_ops, hold_again_ops, pause_ops, release_ops, take_back_ops
from rollout.observe.templates import digest
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.holdpolicy import MARKS, documents
from tests.kit.apiserver import ApiServer

pytestmark = pytest.mark.apiserver

GROUP = "apiVersion: rbac.authorization.k8s.io/v1"
IMAGES = "{.spec.template.spec.containers[0].image}"
INJECTED = "example.com/injected"


def rights(namespace: str) -> str:
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
def policy(apiserver: ApiServer) -> None:
    """The shipped policy is in force."""
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents()})
    apiserver.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests)
    probe = json.dumps(manifest("v1", paused=True))
    done = "{.spec.paused}"
    create = ("create", "--dry-run=server", "-f", "-", "-o", f"jsonpath={done}", "-n", "default")
    eventually(lambda: apiserver.kubectl(*create, stdin=probe) != "true", "the policy is in force")


@pytest.fixture
def web(apiserver: ApiServer, policy: None) -> Iterator[Web]:
    namespace = f"hold-{uuid.uuid4().hex[:8]}"
    apiserver.kubectl("create", "namespace", namespace)
    apiserver.kubectl("apply", "-f", "-", stdin=rights(namespace))
    yield Web(apiserver, namespace)
    apiserver.kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_created_deployment_starts_though_it_says_paused(web: Web) -> None:
    web.started(paused=True)
    assert (web.paused(), web.marked()) == (False, False)


def test_a_pause_by_the_user_is_his_own(web: Web) -> None:
    web.started()
    web.kubectl("rollout", "pause", "deployment/web")
    assert (web.paused(), web.marked()) == (True, False)
    web.kubectl("rollout", "resume", "deployment/web")
    assert (web.paused(), web.marked()) == (False, False)


def test_the_mark_remembers_a_pause_by_the_user(web: Web) -> None:
    web.started().kubectl("rollout", "pause", "deployment/web")
    for image in ("v2", "v3"):
        web.apply(manifest(image))
        assert web.held()
        assert web.get()["metadata"]["annotations"][HELD] == "paused"


def test_a_restart_rolls(web: Web) -> None:
    web.started()
    web.kubectl("rollout", "restart", "deployment/web")
    eventually(lambda: len(web.sets()) == 2, "a ReplicaSet of the restart")
    assert not web.marked()


@pytest.mark.parametrize(
    "change",
    [
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "v2"}],
        [{"op": "add", "path": "/spec/template/metadata/labels/more", "value": "x"}],
        [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"more": "x"}}],
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "v2"}, *pause_ops()],
    ],
    ids=["image", "label", "annotation", "image-and-pause"],
)
def test_a_changed_template_is_held(web: Web, change: list[Json]) -> None:
    web.started().patch(change)
    assert web.held()
    time.sleep(0.5)
    assert {web.image_of(rs) for rs in web.sets()} == {"v1"}


def forge(web: Web) -> None:
    """Somebody with all rights on Deployments writes what a release writes."""
    ops = release_ops(web.get(), "forged")
    web.patch(ops)


def forge_another(web: Web) -> None:
    """The same, with yet another version in the same write."""
    image = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "v3"}
    web.patch([*release_ops(web.get(), "forged"), image])


FREEING: dict[str, Callable[[Web], object]] = {
    "resume": lambda web: web.kubectl("rollout", "resume", "deployment/web"),
    "re-apply": lambda web: web.apply(manifest("v2")),
    "re-apply unpaused": lambda web: web.apply(manifest("v2", paused=False)),
    "re-apply without our label": lambda web: web.apply(manifest("v2", labels={"mine": "x"})),
    "replace without our metadata": lambda web: web.replace(manifest("v2", labels={})),
    "newer version": lambda web: web.apply(manifest("v3")),
    "forged release": forge,
    "forged release with another version": forge_another,
    "label removed": lambda web: web.kubectl("label", "deployment/web", f"{HOLD_LABEL}-"),
    "mark removed": lambda web: web.kubectl("annotate", "deployment/web", f"{HELD}-"),
    "mark overwritten": lambda web: web.kubectl("annotate", "deployment/web", f"{HELD}=false", "--overwrite"),
}


@pytest.mark.parametrize("way", FREEING)
def test_it_stays_held_against(web: Web, way: str) -> None:
    web.holding()
    for _ in range(2):
        FREEING[way](web)
        assert web.held()
    time.sleep(0.5)
    assert {web.image_of(rs) for rs in web.sets()} == {"v1"}


def test_a_restart_of_a_held_deployment_is_refused(web: Web) -> None:
    web.holding()
    with pytest.raises(AssertionError, match="paused"):
        web.kubectl("rollout", "restart", "deployment/web")


def test_stable_scales_while_the_new_version_is_held(web: Web) -> None:
    """`kubectl scale` writes the scale subresource, as an autoscaler does."""
    web.holding()
    for replicas in (5, 1):
        web.kubectl("scale", "deployment/web", f"--replicas={replicas}")
        eventually(lambda n=replicas: [rs["spec"]["replicas"] for rs in web.sets()] == [n], "stable scales")  # type: ignore[misc]
    assert web.held()
    assert {web.image_of(rs) for rs in web.sets()} == {"v1"}


def test_the_release_that_we_write_rolls_and_the_next_version_is_held_again(web: Web) -> None:
    web.holding()
    web.patch(release_ops(web.get(), "run-1"), by="releaser")
    web.rolls_to("v2")
    assert (web.paused(), web.marked()) == (False, False)
    web.apply(manifest("v2"))
    assert not web.paused(), "a re-apply of what rolls is nothing new"
    web.apply(manifest("v3"))
    assert web.held()
    web.patch(release_ops(web.get(), "run-1"), by="releaser")
    assert web.held(), "an old token releases nothing"
    web.patch(release_ops(web.get(), "run-2"), by="releaser")
    web.rolls_to("v3")


def test_a_release_in_two_writes_by_hand_frees_it_too(web: Web) -> None:
    web.holding().release("by-hand", by="releaser")
    web.rolls_to("v2")


def test_taking_a_native_roll_back_passes_and_git_is_held_when_it_asks_again(web: Web) -> None:
    web.holding()
    stable = web.sets()[0]
    web.patch(release_ops(web.get(), "run-1"), by="releaser")
    web.rolls_to("v2")
    tried = next(rs for rs in web.sets() if web.image_of(rs) == "v2")
    web.patch(take_back_ops(web.get(), stable, "run-1.back"), by="releaser")
    assert (web.paused(), web.marked()) == (False, False)
    assert digest(web.get()["spec"]["template"]) == digest(stable["spec"]["template"])
    web.patch(hold_again_ops(web.get(), tried), by="releaser")
    assert (web.paused(), web.marked()) == (True, True)
    assert digest(web.get()["spec"]["template"]) == digest(tried["spec"]["template"])
    web.apply(manifest("v2"))
    assert (web.paused(), web.marked()) == (True, True)


def test_off_boarding_with_a_release_frees_it(web: Web) -> None:
    web.holding()
    web.patch(end_hold_ops(web.get(), "forged"))
    assert web.held()
    web.patch(end_hold_ops(web.get(), "bye"), by="releaser")
    assert (web.paused(), web.marked()) == (True, False)
    web.kubectl("rollout", "resume", "deployment/web")
    web.rolls_to("v2")
    web.apply(manifest("v3", labels={}))
    web.rolls_to("v3")


def test_deleted_and_made_again_it_starts(web: Web) -> None:
    """That cannot be told from a first installation; the engine reports it as Bypassed."""
    web.holding().kubectl("delete", "deployment/web", "--cascade=foreground", "--wait=true")
    web.apply(manifest("v2"))
    web.rolls_to("v2")
    assert not web.paused()


def test_restored_from_a_backup_it_starts_and_stays_free(web: Web) -> None:
    """A backup taken while held carries our mark and the pause; what is restored has no stable pods to fall back on."""
    backup = web.holding().get()
    web.kubectl("delete", "deployment/web", "--cascade=foreground", "--wait=true")
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        backup["metadata"].pop(key, None)
    backup.pop("status")
    web.kubectl("create", "-f", "-", stdin=json.dumps(backup))
    web.rolls_to("v2")
    web.kubectl("label", "deployment/web", "later=edit")
    assert (web.paused(), web.marked()) == (False, False)
    web.apply(manifest("v3"))
    assert web.held()


def test_a_mark_that_somebody_forges_pauses_nothing(web: Web) -> None:
    web.started().kubectl("annotate", "deployment/web", f"{HELD}=true")
    web.kubectl("label", "deployment/web", "later=edit")
    assert (web.paused(), web.marked()) == (False, False)


def injector(name: str) -> list[Json]:
    """Another policy that edits templates, as a webhook would: it pins the image, whatever Git says."""
    expression = (
        "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: ["
        "Object.spec.template.spec.containers{name: 'app', "
        "image: object.spec.template.spec.containers[0].image.split('@')[0] + '@sha256:0'}]}}}}"
    )
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    }
    spec = {
        "matchConstraints": {
            "resourceRules": [rule],
            "objectSelector": {"matchLabels": {INJECTED: name}},
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    }
    api = "admissionregistration.k8s.io/v1"
    return [
        {"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": api,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]


@pytest.fixture(params=["a-pins-images", "z-pins-images"])
def pinned(request: pytest.FixtureRequest, apiserver: ApiServer, policy: None) -> Iterator[dict[str, str]]:
    """Labels of a Deployment whose images another policy pins, before ours in the order of names, and after."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": injector(request.param)})
    apiserver.kubectl("apply", "--server-side", "-f", "-", stdin=objects)
    labels = {HOLD_LABEL: "web", INJECTED: request.param}
    probe = json.dumps(manifest("v1", labels=labels))
    create = ("create", "--dry-run=server", "-f", "-", "-o", f"jsonpath={IMAGES}", "-n", "default")
    eventually(lambda: apiserver.kubectl(*create, stdin=probe) == "v1@sha256:0", "the other policy is in force")
    yield labels
    apiserver.kubectl("delete", "-f", "-", stdin=objects)


def test_the_hold_works_beside_a_webhook_that_edits_templates(web: Web, pinned: dict[str, str]) -> None:
    web.apply(manifest("v1", labels=pinned))
    web.rolls_to("v1@sha256:0")
    web.apply(manifest("v1", labels=pinned))
    assert (web.paused(), web.marked()) == (False, False), "what the other one puts back is no new version"
    web.apply(manifest("v2", labels=pinned))
    assert web.held()
    assert web.image_of(web.get()) == "v2@sha256:0"
    web.apply(manifest("v2", labels=pinned))
    assert web.held()
    web.patch(release_ops(web.get(), "run-1"), by="releaser")
    web.rolls_to("v2@sha256:0")
    web.apply(manifest("v2", labels=pinned))
    assert (web.paused(), web.marked()) == (False, False)
