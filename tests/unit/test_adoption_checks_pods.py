"""Pods and jobs (PF03-PF06, PF08, PF09, PF11): each obstacle is found where it is, and gone after its fix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.checks.adoption import Adopted
from rollout.plan.base import Json
from rollout.plan.finding import Level
from tests.kit.adoption import Case, Scene, app, cron, job, proves, scene, template, workload

CLASSIC = Adopted(native_sidecars=False, cni=True)
UNKNOWN = Adopted()


def pods(*containers: Json, **fields: Any) -> Scene:
    return scene(workload(template(*containers, **fields)))


def starting(**fields: Any) -> dict[str, Any]:
    return {"initContainers": [{"name": "wait", "image": "busybox", **fields}]}


WAITS = {"command": ["sh", "-c", "until nc -z db 3306; do sleep 1; done"]}
HTTP = {"readinessProbe": {"httpGet": {"port": 8080, "path": "/"}}}
REWRITE = "sidecar.istio.io/rewriteAppHTTPProbers"


def with_mesh(known: Scene, mesh: Adopted) -> Scene:
    return replace(known, mesh=mesh)


CASES = [
    (
        "RO503",
        Case(
            "host network",
            Level.WARNING,
            "Deployment/web uses the node's network and never gets a proxy",
            pods(hostNetwork=True),
            pods(),
        ),
    ),
    (
        "RO504",
        Case(
            "left out by label",
            Level.WARNING,
            "is left out (sidecar.istio.io/inject: false)",
            pods(labels={"sidecar.istio.io/inject": "false"}),
            pods(labels={"sidecar.istio.io/inject": "true"}, notes={"sidecar.istio.io/inject": "false"}),
        ),
    ),
    (
        "RO504",
        Case(
            "left out by annotation",
            Level.WARNING,
            "it stays a plaintext caller",
            pods(notes={"sidecar.istio.io/inject": "false"}),
            pods(notes={"linkerd.io/inject": "disabled"}),
        ),
    ),
    (
        "RO504",
        Case(
            "left out by the injector",
            Level.WARNING,
            "by a neverInjectSelector",
            with_mesh(pods(), Adopted(never_inject=({"matchLabels": {"app": "web"}},))),
            with_mesh(pods(), Adopted(never_inject=({"matchLabels": {"app": "other"}}, {}))),
            # the label that is proposed comes before the selector for the injector, which the check does not know
            fixed=False,
        ),
    ),
    (
        "RO505",
        Case(
            "a CronJob beside a proxy that stays",
            Level.ERROR,
            "the proxy of CronJob/web would keep running",
            scene(cron(), mesh=CLASSIC),
            scene(cron()),
            fixed=False,
        ),
    ),
    (
        "RO505",
        Case(
            "a CronJob in a mesh of which nothing is known",
            Level.WARNING,
            "whether this mesh has native sidecars could not be seen",
            scene(cron(), mesh=UNKNOWN),
            scene(cron(template(notes={"sidecar.istio.io/nativeSidecar": "true"})), mesh=UNKNOWN),
        ),
    ),
    (
        "RO505",
        Case(
            "a Job, whose template is fixed",
            Level.INFO,
            "the template of Job/web cannot be changed",
            scene(job()),
            scene(cron()),
            fixed=False,
        ),
    ),
    (
        "RO506",
        Case(
            "an init container that waits for the database",
            Level.ERROR,
            "init container wait of Deployment/web seems to use the network (nc)",
            with_mesh(pods(**starting(**WAITS)), CLASSIC),
            pods(**starting(**WAITS)),
        ),
    ),
    (
        "RO506",
        Case(
            "the same where the mesh is not known",
            Level.WARNING,
            "seems to use the network",
            with_mesh(pods(**starting(**WAITS)), UNKNOWN),
            with_mesh(pods(**starting(**WAITS)), Adopted(cni=False)),
        ),
    ),
    (
        "RO506",
        Case(
            "an init container that fetches",
            Level.ERROR,
            "(curl)",
            with_mesh(pods(**starting(args=["curl", "-o", "/x", "https://example.com"])), CLASSIC),
            with_mesh(pods(**starting(args=["chown", "-R", "app", "/data"])), CLASSIC),
        ),
    ),
    (
        "RO506",
        Case(
            "one that goes past the proxy already",
            Level.ERROR,
            "seems to use the network",
            with_mesh(pods(**starting(**WAITS)), CLASSIC),
            with_mesh(
                pods(notes={"traffic.sidecar.istio.io/excludeOutboundPorts": "3306"}, **starting(**WAITS)), CLASSIC
            ),
        ),
    ),
    (
        "RO508",
        Case(
            "a container with the proxy's user",
            Level.ERROR,
            "container app of Deployment/web has runAsUser 1337",
            pods(app(securityContext={"runAsUser": 1337})),
            pods(app(securityContext={"runAsUser": 1000}), securityContext={"runAsUser": 1337}),
        ),
    ),
    (
        "RO508",
        Case(
            "a pod with the proxy's group",
            Level.ERROR,
            "has runAsGroup 1337",
            pods(securityContext={"runAsGroup": 1337}),
            pods(securityContext={"fsGroup": 1337}),
        ),
    ),
    (
        "RO509",
        Case(
            "a server on localhost",
            Level.WARNING,
            "seems to listen on localhost only (--bind=127.0.0.1:8080)",
            pods(app(args=["--bind=127.0.0.1:8080"])),
            pods(app(args=["--bind=0.0.0.0:8080", "--upstream=127.0.0.1:9000"])),
            fixed=False,
        ),
    ),
    (
        "RO509",
        Case(
            "in a shell's words",
            Level.WARNING,
            "(--host localhost)",
            pods(app(command=["sh", "-c", "exec uvicorn app --host localhost --port 8080"])),
            pods(app(command=["sh", "-c", "exec uvicorn app --host example --port 8080"])),
            fixed=False,
        ),
    ),
    (
        "RO509",
        Case(
            "only where something is served",
            Level.WARNING,
            "localhost",
            pods(app(args=["-listen", "[::1]:8080"])),
            pods(app(args=["--address=localhost"], ports=[])),
            fixed=False,
        ),
    ),
    (
        "RO511",
        Case(
            "probes that are not rewritten, by annotation",
            Level.ERROR,
            f"annotation {REWRITE} turns the rewriting of probes off",
            pods(app(**HTTP), notes={REWRITE: "false"}),
            pods(app(readinessProbe={"exec": {"command": ["true"]}}), notes={REWRITE: "false"}),
        ),
    ),
    (
        "RO511",
        Case(
            "probes that are not rewritten, by the mesh",
            Level.ERROR,
            "under STRICT the kubelet is refused",
            with_mesh(pods(app(**HTTP)), Adopted(rewrites_probes=False)),
            pods(app(**HTTP)),
        ),
    ),
]


@pytest.mark.parametrize(("code", "case"), CASES, ids=str)
def test_pods_can_have_a_proxy(code: str, case: Case) -> None:
    proves(case, code)


@pytest.mark.parametrize("word", ["synchronize", "gitlab-agent", "git-crypt-off", "pinger", "migrations-off"])
def test_words_that_only_look_like_a_network_client(word: str) -> None:
    assert not with_mesh(pods(**starting(args=[word])), CLASSIC).found("RO506")


def test_a_pod_that_shares_the_nodes_network_is_asked_nothing_else() -> None:
    known = scene(workload(template(app(securityContext={"runAsUser": 1337}), hostNetwork=True)))
    assert not known.found("RO508")
