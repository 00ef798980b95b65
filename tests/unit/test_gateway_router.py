"""The Gateway API's routers: exact routes at every step, whose status counts, and what is found beforehand."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rollout.adapters.routers.gateway import Gateway, GatewayMesh
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.errors import NotFound
from rollout.plan.base import Json
from rollout.plan.kinds import GRPC_ROUTE, HTTP_ROUTE, HTTP_ROUTE_BETA, SERVICE, Ref
from rollout.plan.program import Backends
from tests.conformance import service_manifests as given
from tests.conformance.router_suite import OWNER, World, play
from tests.conformance.test_service_routers import CANARY, TWO

OUTSIDE, MESH = Gateway(), GatewayMesh()
WEB = Ref(HTTP_ROUTE, "shop", "web")


def accepted(obj: Json, generation: int = 1, **status: str) -> Json:
    """The route as its controller left it: `Accepted="False"` says no."""
    said = {"Accepted": "True", "ResolvedRefs": "True"} | status
    conditions = [{"type": key, "status": value, "observedGeneration": generation} for key, value in said.items()]
    parents = [{"controllerName": "example.com/gateway", "conditions": conditions}]
    return {**obj, "metadata": {**obj["metadata"], "generation": 1}, "status": {"parents": parents}}


def world(*texts: str) -> World:
    """Routes that are accepted, and what else there is."""
    objects = given.objects(*texts)
    return World([accepted(it) if it["kind"].endswith("Route") else it for it in objects])


def steered(there: World, *weights: float, router: ServiceRouter = MESH, backends: Backends = CANARY) -> Any:
    journal: Any = ()
    for weight in weights:
        journal = play(there, router.steer(backends, there.read(), weight, journal, OWNER), journal)
    return journal


def codes(there: World, router: ServiceRouter = MESH, backends: Backends = CANARY) -> list[str]:
    return [it.code for it in router.findings(backends, there.read())]


# -- what is written


def test_a_route_is_made_for_each_port_that_speaks_http() -> None:
    there = world(given.SERVICE)
    steered(there, 0.5)
    for port in (80, 90):
        made = there.objects[Ref(HTTP_ROUTE, "shop", f"web-7-{port}")]
        assert made["spec"] == {
            "parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": port}],
            "rules": [
                {
                    "backendRefs": [
                        {"name": "web-7-stable", "port": port, "weight": 199},
                        {"name": "web-7-canary", "port": port, "weight": 1},
                    ]
                }
            ],
        }


def test_only_the_destinations_of_a_rule_change() -> None:
    there = world(given.SERVICE, given.OUTSIDE)
    before = deepcopy(there.objects[WEB]["spec"])
    steered(there, 10, router=OUTSIDE)
    after = deepcopy(there.objects[WEB]["spec"])
    filters = before["rules"][1]["backendRefs"][0]["filters"]
    assert after["rules"][1].pop("backendRefs") == [
        {"name": "web-7-stable", "port": 80, "filters": filters, "weight": 27},
        {"name": "web-7-canary", "port": 80, "filters": filters, "weight": 3},
        {"name": "web-next", "port": 80, "weight": 10},
    ]
    assert [it["name"] for it in after["rules"][2].pop("backendRefs")] == ["web-7-stable", "web-7-canary", "web"]
    for rule in (1, 2):
        del before["rules"][rule]["backendRefs"]
    assert after == before


def test_the_router_without_a_mesh_makes_no_route() -> None:
    with pytest.raises(NotFound, match="no HTTPRoute or GRPCRoute routes to web"):
        steered(world(given.SERVICE), 0, router=OUTSIDE)


def test_a_callers_route_names_the_namespace_that_it_has_to() -> None:
    there = world(given.HTTP_ONLY, given.CONSUMER)
    steered(there, 50)
    route = there.objects[Ref(HTTP_ROUTE, "front", "web")]
    entries = [(it["name"], it.get("namespace"), it["weight"]) for it in route["spec"]["rules"][0]["backendRefs"]]
    assert entries == [("web-7-stable", "shop", 25), ("web-7-canary", "shop", 25), ("web", None, 50)]


def test_no_weight_is_over_a_million() -> None:
    there = world(given.SERVICE, given.PRODUCER.replace("port: 80}]", "port: 80, weight: 999999}]"))
    steered(there, 33.33)
    entries = there.objects[Ref(HTTP_ROUTE, "shop", "web-mesh")]["spec"]["rules"][0]["backendRefs"]
    assert max(it["weight"] for it in entries) <= 1_000_000
    assert MESH.view(CANARY, there.read()).weight == 33.33


def test_where_only_the_older_version_is_served_that_is_written() -> None:
    read = {**world(given.HTTP_ONLY).read(), HTTP_ROUTE_BETA: []}
    assert MESH.steer(CANARY, read, 10, (), OWNER)[-1].ref == Ref(HTTP_ROUTE_BETA, "shop", "web-7")


# -- whose status counts


@pytest.mark.parametrize(
    ("change", "pending", "refused"),
    [
        ({}, "", ""),
        ({"generation": 0}, "example.com/gateway has not looked at its generation 1 yet", ""),
        ({"Accepted": "False"}, "", "example.com/gateway says Accepted is not so"),
        ({"ResolvedRefs": "False"}, "", "example.com/gateway says ResolvedRefs is not so"),
    ],
)
def test_a_route_holds_when_its_controller_has_accepted_what_is_written_now(
    change: Any, pending: str, refused: str
) -> None:
    there = world(given.HTTP_ONLY, given.PRODUCER)
    steered(there, 10)
    ref = Ref(HTTP_ROUTE, "shop", "web-mesh")
    there.objects[ref] = accepted(there.objects[ref], **change)
    view = MESH.view(CANARY, there.read())
    assert view.where == "steered"
    assert (pending in view.pending, bool(view.pending)) == (True, bool(pending))
    assert (refused in view.refused, bool(view.refused)) == (True, bool(refused))


def test_a_controller_that_never_tells_generations_is_believed() -> None:
    """Linkerd's: without this, a run would wait for ever."""
    there = world(given.HTTP_ONLY, given.PRODUCER)
    steered(there, 10)
    route = accepted(there.objects[Ref(HTTP_ROUTE, "shop", "web-mesh")])
    for condition in route["status"]["parents"][0]["conditions"]:
        del condition["observedGeneration"]
    there.objects[Ref(HTTP_ROUTE, "shop", "web-mesh")] = route
    assert (MESH.view(CANARY, there.read()).pending, MESH.view(CANARY, there.read()).refused) == ("", "")
    route["status"]["parents"][0]["conditions"] = []
    assert "has not looked at its generation 1" in MESH.view(CANARY, there.read()).pending


def test_a_destination_may_name_the_group_of_services_as_linkerd_does() -> None:
    theirs = given.PRODUCER.replace("[{name: web,", "[{group: core, kind: Service, name: web,")
    there = world(given.HTTP_ONLY, theirs)
    steered(there, 10)
    entries = there.objects[Ref(HTTP_ROUTE, "shop", "web-mesh")]["spec"]["rules"][0]["backendRefs"]
    assert [(it["group"], it["name"], it["weight"]) for it in entries] == [
        ("core", "web-7-stable", 90),
        ("core", "web-7-canary", 10),
    ]


def test_a_route_that_nobody_has_looked_at_does_not_hold() -> None:
    there = world(given.HTTP_ONLY)
    steered(there, 10)
    assert MESH.view(CANARY, there.read()).pending == "HTTPRoute/web-7: no controller has looked at it"


# -- what is found beforehand

UNKNOWN = given.OUTSIDE
MIRRORING = (
    given.PRODUCER
    + """    filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}}}
"""
)
TCP = given.SERVICE.replace("appProtocol: grpc", "appProtocol: tcp")
NARROW = given.CONSUMER.replace('to: [{group: "", kind: Service}]', 'to: [{group: "", kind: Service, name: web}]')


def test_a_sound_shop_has_no_findings() -> None:
    for texts in ((given.SERVICE,), (given.SERVICE, given.OUTSIDE, given.PRODUCER, given.GRPC)):
        assert codes(world(*texts)) == []
    assert codes(world(given.HTTP_ONLY, given.CONSUMER)) == []
    assert codes(world(given.SERVICE, given.VERSIONS, given.OWN_TWO_ROUTE), backends=TWO) == []


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ((given.SERVICE, MIRRORING), "RO314"),
        ((TCP,), "RO323"),
        ((given.HTTP_ONLY, NARROW), "RO343"),
    ],
)
def test_what_would_go_past_the_split_is_found(texts: tuple[str, ...], code: str) -> None:
    assert codes(world(*texts)) == [code]


def test_a_route_that_no_controller_accepts_is_an_error() -> None:
    assert codes(World(given.objects(given.SERVICE, given.OUTSIDE)), OUTSIDE) == ["RO342"]
    there = world(given.SERVICE, given.OUTSIDE)
    there.objects[WEB] = accepted(there.objects[WEB], ResolvedRefs="False")
    assert codes(there, OUTSIDE) == ["RO342"]


def test_it_is_found_by_the_services_that_it_names() -> None:
    find = MESH.concerns[GRPC_ROUTE]
    about = {tuple(sorted(find(it) or ())) for it in given.objects(given.CONSUMER) if it["kind"] == "HTTPRoute"}
    assert about == {("web.front", "web.shop")}
    reads = {read.kind: read for read in MESH.reads(CANARY)}
    assert "web.shop" in reads[HTTP_ROUTE].about
    assert reads[SERVICE].namespace == "shop"
