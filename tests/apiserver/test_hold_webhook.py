"""The hold beside others that edit pod templates: another admission policy, and a real webhook."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rollout.act.release import pause_ops, release_ops
from rollout.observe.templates import digest
from rollout.plan.base import HOLD_LABEL, Json
from tests.kit.apiserver import ApiServer
from tests.kit.certificates import certificate
from tests.kit.held import Web, eventually, manifest

pytestmark = pytest.mark.apiserver

IMAGES = "{.spec.template.spec.containers[0].image}"
INJECTED = "example.com/injected"
SIDECAR = {"name": "agent", "image": "agent:1"}


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
def pinned(request: pytest.FixtureRequest, apiserver: ApiServer, hold_policy: None) -> Iterator[dict[str, str]]:
    """Labels of a Deployment whose images another policy pins, before ours in the order of names, and after."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": injector(request.param)})
    apiserver.kubectl("apply", "--server-side", "-f", "-", stdin=objects)
    labels = {HOLD_LABEL: "web", INJECTED: request.param}
    probe = json.dumps(manifest("v1", labels=labels))
    create = ("create", "--dry-run=server", "-f", "-", "-o", f"jsonpath={IMAGES}", "-n", "default")
    eventually(lambda: apiserver.kubectl(*create, stdin=probe) == "v1@sha256:0", "the other policy is in force")
    yield labels
    apiserver.kubectl("delete", "-f", "-", stdin=objects)


def test_the_hold_works_beside_a_webhook_that_edits_templates(held_web: Web, pinned: dict[str, str]) -> None:
    held_web.apply(manifest("v1", labels=pinned))
    held_web.rolls_to("v1@sha256:0")
    held_web.apply(manifest("v1", labels=pinned))
    assert (held_web.paused(), held_web.marked()) == (False, False), "what the other one puts back is no new version"
    held_web.apply(manifest("v2", labels=pinned))
    assert held_web.held()
    assert held_web.image_of(held_web.get()) == "v2@sha256:0"
    held_web.apply(manifest("v2", labels=pinned))
    assert held_web.held()
    held_web.patch(release_ops(held_web.get(), "run-1"), by="releaser")
    held_web.rolls_to("v2@sha256:0")
    held_web.apply(manifest("v2", labels=pinned))
    assert (held_web.paused(), held_web.marked()) == (False, False)


class Webhook(http.server.BaseHTTPRequestHandler):
    """What such webhooks do: an annotation, a sidecar, and the digest of the image, in the template."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Answer an AdmissionReview."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        template = review["object"]["spec"]["template"]
        self.asked.append(review["operation"])
        patch = base64.b64encode(json.dumps(edits(template)).encode()).decode()
        answer = {"uid": review["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is that of the standard library
        """Say nothing."""


def edits(template: Json) -> list[Json]:
    """The patch of a template; none for one that has been edited."""
    pod = template["spec"]["containers"]
    image = pod[0]["image"].partition("@")[0] + "@sha256:0"
    ops: list[Json] = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
    if "annotations" not in template["metadata"]:
        ops.append({"op": "add", "path": "/spec/template/metadata/annotations", "value": {INJECTED: "yes"}})
    if SIDECAR["name"] not in [container["name"] for container in pod]:
        ops.append({"op": "add", "path": "/spec/template/spec/containers/-", "value": SIDECAR})
    return ops


def registration(name: str, address: str, ca: bytes) -> Json:
    """What makes the API server ask the webhook."""
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
    hook = {
        "name": f"{name}.example.com",
        "clientConfig": {"url": address, "caBundle": base64.b64encode(ca).decode()},
        "rules": [rule | {"resources": ["deployments"]}],
        "objectSelector": {"matchLabels": {INJECTED: name}},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    api = "admissionregistration.k8s.io/v1"
    return {"apiVersion": api, "kind": "MutatingWebhookConfiguration", "metadata": {"name": name}, "webhooks": [hook]}


@pytest.fixture(scope="module")
def webhook(apiserver: ApiServer, hold_policy: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The value of the label whose Deployments a real webhook edits."""
    files = certificate(tmp_path_factory.mktemp("tls"), "webhook")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    name = "edits-templates"
    made = registration(name, f"https://127.0.0.1:{server.server_port}/", Path(files[0]).read_bytes())
    apiserver.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(made))
    probe = json.dumps(manifest("v1", labels={INJECTED: name}))
    create = ("create", "--dry-run=server", "-f", "-", "-o", f"jsonpath={IMAGES}", "-n", "default")
    eventually(lambda: apiserver.kubectl(*create, stdin=probe) == "v1@sha256:0", "the webhook is asked")
    yield name
    apiserver.kubectl("delete", "mutatingwebhookconfiguration", name)
    server.shutdown()
    thread.join()
    server.server_close()


def names(obj: Json) -> list[str]:
    return [container["name"] for container in obj["spec"]["template"]["spec"]["containers"]]


def test_the_policy_holds_what_a_webhook_edits(held_web: Web, webhook: str) -> None:
    labels = {HOLD_LABEL: "web", INJECTED: webhook}
    held_web.apply(manifest("v1", labels=labels))
    held_web.rolls_to("v1@sha256:0")
    held_web.apply(manifest("v1", labels=labels))
    assert (held_web.paused(), held_web.marked()) == (False, False), "what it puts back is no new version"
    held_web.apply(manifest("v2", labels=labels))
    assert held_web.held()
    assert (held_web.image_of(held_web.get()), names(held_web.get())) == ("v2@sha256:0", ["app", "agent"])
    held_web.apply(manifest("v2", labels=labels))
    assert held_web.held()
    held_web.patch(release_ops(held_web.get(), "run-1"), by="releaser")
    held_web.rolls_to("v2@sha256:0")
    held_web.apply(manifest("v2", labels=labels))
    assert (held_web.paused(), held_web.marked()) == (False, False)


def test_a_deployment_that_rests_paused_is_held_beside_a_webhook(held_web: Web, webhook: str) -> None:
    labels = {INJECTED: webhook}
    held_web.apply(manifest("v1", labels=labels))
    held_web.rolls_to("v1@sha256:0")
    held_web.apply(manifest("v1", labels=labels, paused=True))
    for _ in range(2):
        held_web.apply(manifest("v2", labels=labels, paused=True))
        assert (held_web.paused(), held_web.marked()) == (True, False)
        assert (held_web.image_of(held_web.get()), names(held_web.get())) == ("v2@sha256:0", ["app", "agent"])
        assert [held_web.image_of(rs) for rs in held_web.sets()] == ["v1@sha256:0"]
    held_web.patch(release_ops(held_web.get(), "run-1"))
    held_web.rolls_to("v2@sha256:0")
    held_web.patch(pause_ops())
    held_web.apply(manifest("v2", labels=labels, paused=True))
    wanted = held_web.get()
    assert held_web.paused()
    assert digest(wanted["spec"]["template"]) in {digest(rs["spec"]["template"]) for rs in held_web.sets()}
