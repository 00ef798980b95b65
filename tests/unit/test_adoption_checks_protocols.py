"""Protocols (PF01, PF02, PF16): each obstacle is found where it is, and gone after its fix."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.checks.adoption import Look
from rollout.checks.adoption.ports import ServicePort
from rollout.plan.finding import Level
from rollout.plan.kinds import ENDPOINT_SLICE, PEER_AUTHENTICATION, POD, SIDECAR
from tests.kit.adoption import Case, app, proves, scene, service, template, thing, workload

DB = workload(template(app(ports=[{"containerPort": 3306, "name": "mysql"}])))


def port(number: int, target: int | str = 8080, **fields: Any) -> dict[str, Any]:
    return {"port": number, "targetPort": target, **fields}


def exception(mode: str) -> dict[str, Any]:
    spec = {"selector": {"matchLabels": {"app": "web"}}, "portLevelMtls": {"3306": {"mode": mode}}}
    return thing(PEER_AUTHENTICATION, "web", spec)


DECLARED = [
    Case(
        "a name that begins with no protocol",
        Level.WARNING,
        'its name "web" begins with none',
        scene(workload(), service(port(80, name="web"))),
        scene(workload(), service(port(80, name="http-web"))),
    ),
    Case(
        "no name at all",
        Level.WARNING,
        "it has neither appProtocol nor name",
        scene(workload(), service(port(80))),
        scene(workload(), service(port(80, appProtocol="kubernetes.io/h2c"))),
    ),
    Case(
        "a client-first protocol that is no HTTP",
        Level.WARNING,
        "postgresql is no HTTP",
        scene(workload(), service(port(80, 5432, name="db"))),
        scene(workload(), service(port(80, 5432, name="tcp-db"))),
    ),
]


@pytest.mark.parametrize("case", DECLARED, ids=str)
def test_pf01_protocols_are_declared(case: Case) -> None:
    proves(case, "RO501")


def test_services_that_lead_elsewhere_are_none_of_our_business() -> None:
    other = service(port(80), selector={"app": "other"})
    assert not scene(workload(), other).found("RO501")


def test_a_service_without_selector_leads_where_its_endpoints_say() -> None:
    pod = thing(POD, "web-1", template()["spec"], labels={"app": "web"})
    target = {"targetRef": {"kind": "Pod", "name": "web-1"}}
    slice_ = thing(ENDPOINT_SLICE, "by-hand", labels={"kubernetes.io/service-name": "web"}, endpoints=[target])
    by_hand = service(port(80), selector=None)
    assert scene(pod, by_hand, slice_).found("RO501")
    assert not scene(pod, by_hand).found("RO501")


def test_the_proposed_protocol_is_the_one_that_is_probed() -> None:
    probe = {"readinessProbe": {"grpc": {"port": 8080}}}
    (finding,) = scene(workload(template(app(**probe))), service(port(90, name="api"))).found("RO501")
    assert '"appProtocol":"grpc"' in finding.fix


@pytest.mark.parametrize(
    ("raw", "declared"),
    [
        ({"port": 80, "name": "http"}, "http"),
        ({"port": 80, "name": "HTTP2-api"}, "http2"),
        ({"port": 80, "name": "grpc-web-ui"}, "grpc-web"),
        ({"port": 80, "name": "grpc-api"}, "grpc"),
        ({"port": 80, "name": "httpapi"}, None),
        ({"port": 80, "name": "http", "appProtocol": "mongo"}, "mongo"),
        ({"port": 80, "name": "http", "appProtocol": "example.com/own"}, None),
        ({"port": 80, "appProtocol": "kubernetes.io/wss"}, "https"),
        ({"port": 3306, "name": "db"}, "tcp"),
        ({"port": 53, "protocol": "UDP"}, "udp"),
        ({"port": 13306, "targetPort": 3306, "name": "db"}, None),
    ],
)
def test_protocols_are_read_as_istio_reads_them(raw: dict[str, Any], declared: str | None) -> None:
    assert ServicePort({"metadata": {"name": "web"}}, raw, raw.get("targetPort")).declared == declared


SERVER_FIRST = [
    Case(
        "by the container's port, behind another of the Service",
        Level.ERROR,
        "mysql, where the server speaks first, and it is not declared",
        scene(DB, service(port(13306, 3306, name="db"))),
        scene(DB, service(port(13306, 3306, name="tcp-db"))),
    ),
    Case(
        "declared as http",
        Level.ERROR,
        "it is declared http: the proxy waits",
        scene(DB, service(port(80, "mysql", name="http"))),
        scene(DB, service(port(80, "mysql", name="tcp"))),
    ),
    Case(
        "by name",
        Level.ERROR,
        "is smtp, where the server speaks first, and it is not declared",
        scene(workload(), service(port(2525, name="smtp"))),
        scene(workload(), service(port(2525, name="tcp-smtp"))),
    ),
    Case(
        "under PERMISSIVE, although declared",
        Level.WARNING,
        "callers without a proxy hang",
        scene(DB, service(port(3306, 3306, name="mysql"))),
        scene(DB, service(port(3306, 3306, name="mysql")), exception("STRICT")),
    ),
]


@pytest.mark.parametrize("case", SERVER_FIRST, ids=str)
def test_pf02_server_first_protocols_are_left_alone(case: Case) -> None:
    proves(case, "RO502")


def test_a_permissive_exception_does_not_help_a_server_that_speaks_first_and_is_changed_not_doubled() -> None:
    known = scene(DB, service(port(3306, 3306, name="mysql")), exception("PERMISSIVE"))
    (finding,) = known.found("RO502")
    after = known.after(finding.fix)
    assert not after.found("RO502")
    assert not after.found("RO516")


def peers(name: str, **spec: Any) -> dict[str, Any]:
    return thing(PEER_AUTHENTICATION, name, {"mtls": {"mode": "PERMISSIVE"}, **spec})


WEB = {"selector": {"matchLabels": {"app": "web"}}}
CLASHES = [
    Case(
        "two Services, one port, two protocols",
        Level.ERROR,
        "port 8080 of Deployment/web is declared differently",
        scene(workload(), service(port(80, name="http")), service(port(81, name="tcp"), name="raw")),
        scene(workload(), service(port(80, name="http")), service(port(81, name="http"), name="raw")),
    ),
    Case(
        "two PeerAuthentications for one pod",
        Level.WARNING,
        "several peerauthentications are for Deployment/web (a, b)",
        scene(workload(), peers("a", **WEB), peers("b", **WEB)),
        scene(workload(), peers("a", **WEB), peers("default")),
        fixed=False,
    ),
    Case(
        "two PeerAuthentications for the whole namespace",
        Level.WARNING,
        "several peerauthentications are for the whole namespace",
        scene(workload(), peers("default"), peers("other")),
        scene(workload(), peers("default")),
        fixed=False,
    ),
    Case(
        "two Sidecars for one pod",
        Level.WARNING,
        "several sidecars are for Deployment/web",
        scene(workload(), *(thing(SIDECAR, it, {"workloadSelector": {"labels": {"app": "web"}}}) for it in "ab")),
        scene(workload(), *(thing(SIDECAR, it, {"workloadSelector": {"labels": {"app": it}}}) for it in "ab")),
        fixed=False,
    ),
]


@pytest.mark.parametrize("case", CLASHES, ids=str)
def test_pf16_no_two_objects_contradict_each_other(case: Case) -> None:
    proves(case, "RO516")


def test_looks_sort_and_read_like_words() -> None:
    assert str(Look(SIDECAR)) == "sidecars"
    assert str(Look(SIDECAR, "everywhere")) == "sidecars in all namespaces"
