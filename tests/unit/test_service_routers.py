"""Routers between Services, step by step: exact objects, the owner's edits in mid-run, and what is found beforehand."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import yaml

from rollout.adapters.routers.services.router import ServiceRouter
from rollout.adapters.routers.smi import Smi
from rollout.errors import AlreadyExists, NotFound
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import SERVICE, TRAFFIC_SPLITS, Ref
from rollout.plan.program import Backends, Side
from rollout.ports.router import Crowd
from tests.conformance import service_manifests as given
from tests.conformance.router_suite import OWNER, World, play
from tests.conformance.test_service_routers import CANARY, TWO

SMI = Smi()
SPLIT = Ref(TRAFFIC_SPLITS[0], "shop", "web")
MADE = Ref(TRAFFIC_SPLITS[0], "shop", "web-7")
STABLE, CANDIDATE = Ref(SERVICE, "shop", "web-7-stable"), Ref(SERVICE, "shop", "web-7-canary")


def world(*texts: str) -> World:
    return World(given.objects(*texts))


def steered(there: World, *weights: float, router: ServiceRouter = SMI, backends: Backends = CANARY) -> Any:
    journal: Any = ()
    for weight in weights:
        journal = play(there, router.steer(backends, there.read(), weight, journal, OWNER), journal)
    return journal


def home(there: World, journal: Any, router: ServiceRouter = SMI, backends: Backends = CANARY) -> None:
    play(there, router.restore(backends, there.read(), journal))
    play(there, router.sweep(backends, there.read()))


def edit(there: World, ref: Ref, **spec: Any) -> None:
    obj = deepcopy(there.objects[ref])
    obj["spec"] |= spec
    there.put(obj)


def codes(there: World, backends: Backends = CANARY, router: ServiceRouter = SMI) -> list[str]:
    return [finding.code for finding in router.findings(backends, there.read())]


def backend(name: str, weight: int) -> Json:
    return {"service": name, "weight": weight}


# -- our two Services


def test_each_service_is_the_owners_narrowed_to_one_side() -> None:
    there = world(given.SERVICE)
    steered(there, 0)
    ports = [
        {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080},
        {"name": "grpc", "protocol": "TCP", "appProtocol": "grpc", "port": 90, "targetPort": "grpc"},
    ]
    assert there.objects[STABLE]["spec"] == {"selector": {"app": "web", "pod-template-hash": "aaa"}, "ports": ports}
    assert there.objects[CANDIDATE]["spec"] == {"selector": {"app": "web", "pod-template-hash": "bbb"}, "ports": ports}


def test_they_keep_what_the_mesh_reads_and_leave_what_gitops_tools_track() -> None:
    (service,) = yaml.safe_load_all(given.SERVICE)
    service["metadata"]["labels"]["istio.io/use-waypoint"] = "gate"
    service["metadata"]["annotations"] = {"config.linkerd.io/opaque-ports": "90", "argocd.argoproj.io/tracking-id": "x"}
    there = World([service])
    steered(there, 0)
    meta = there.objects[CANDIDATE]["metadata"]
    assert meta["labels"] == {**OWNER["labels"], "istio.io/use-waypoint": "gate"}
    assert meta["annotations"] == {**OWNER["annotations"], "config.linkerd.io/opaque-ports": "90"}


def test_they_come_before_the_routes_that_name_them() -> None:
    changes = SMI.steer(CANARY, world(given.SERVICE, given.ROOT).read(), 0, (), OWNER)
    assert [(it.ref, it.groundwork) for it in changes] == [(STABLE, True), (CANDIDATE, True), (SPLIT, False)]


def test_they_follow_the_owners_ports() -> None:
    there = world(given.SERVICE)
    journal = steered(there, 10)
    edit(there, Ref(SERVICE, "shop", "web"), ports=[{"name": "http", "port": 8000}])
    view = SMI.view(CANARY, there.read())
    assert (view.where, "web-7-stable: its ports should follow" in view.drift) == ("mixed", True)
    play(there, SMI.steer(CANARY, there.read(), 10, journal, OWNER), journal)
    assert there.objects[STABLE]["spec"]["ports"] == [
        {"name": "http", "protocol": "TCP", "port": 8000, "targetPort": 8000}
    ]
    assert SMI.view(CANARY, there.read()).where == "steered"


def test_they_stay_while_anything_names_them() -> None:
    there = world(given.SERVICE, given.ROOT)
    journal = steered(there, 10)
    copy = deepcopy(there.objects[SPLIT])
    copy["metadata"] |= {"name": "copy"}
    copy["spec"]["service"] = "api"
    there.put(copy)
    play(there, SMI.restore(CANARY, there.read(), journal)[:1])
    assert SMI.sweep(CANARY, there.read()) == ()
    home(there, journal)
    assert SMI.view(CANARY, there.read()).leftovers == ()
    assert STABLE not in there.objects


def test_somebody_elses_service_in_the_way_is_an_error_before_and_at_the_write() -> None:
    there = world(given.SERVICE, given.VERSIONS.replace("web-v1", "web-7-stable"))
    assert "RO307" in codes(there)
    with pytest.raises(AlreadyExists, match="web-7-stable exists"):
        steered(there, 0)


# -- TrafficSplit, step by step


def test_a_traffic_split_is_made_where_the_service_has_none() -> None:
    there = world(given.SERVICE)
    for weight, (stable, candidate) in {0: (100, 0), 10: (90, 10), 0.5: (199, 1), 33.33: (6667, 3333)}.items():
        there = world(given.SERVICE)
        steered(there, weight)
        made = there.objects[MADE]
        pair = [backend("web-7-stable", stable), backend("web-7-canary", candidate)]
        assert (made["apiVersion"], made["kind"]) == ("split.smi-spec.io/v1alpha4", "TrafficSplit")
        assert made["spec"] == {"service": "web", "backends": pair}


def test_the_owners_split_keeps_its_other_shares_at_every_step() -> None:
    there = world(given.SERVICE, given.ROOT)
    before = deepcopy(there.objects[SPLIT]["spec"])
    journal = steered(there, 10)
    want = [backend("web-7-stable", 81), backend("web-7-canary", 9), backend("web-next", 10)]
    assert there.objects[SPLIT]["spec"] == {**before, "backends": want}
    home(there, journal)
    assert there.objects[SPLIT]["spec"] == before


@pytest.mark.parametrize("kind", TRAFFIC_SPLITS)
def test_every_version_is_written_as_it_is_served(kind: Any) -> None:
    there = World([*given.objects(given.SERVICE), *given.objects(given.LEAF.replace("v1alpha4", kind.version))])
    journal = steered(there, 10)
    assert there.objects[Ref(kind, "shop", "web-7")]["apiVersion"] == kind.api_version
    assert {change.ref.kind for change in SMI.restore(CANARY, there.read(), journal)} == {kind}


def test_a_new_split_is_of_the_version_that_the_cluster_serves() -> None:
    old = TRAFFIC_SPLITS[2]
    changes = SMI.steer(CANARY, {**world(given.SERVICE).read(), old: []}, 10, (), OWNER)
    assert changes[-1].ref == Ref(old, "shop", "web-7")


def test_quantities_come_back_as_they_were_written() -> None:
    there = world(given.SERVICE, given.QUANTITIES)
    ref = Ref(TRAFFIC_SPLITS[-1], "shop", "web")
    before = deepcopy(there.objects[ref]["spec"])
    journal = steered(there, 20)
    want = [backend("web-7-stable", 60), backend("web-7-canary", 15), backend("web-next", 25)]
    assert there.objects[ref]["spec"]["backends"] == want
    home(there, journal)
    assert there.objects[ref]["spec"] == before


# -- what the owner does in mid-run


def test_going_home_rebases_on_what_the_owner_wrote_meanwhile() -> None:
    there = world(given.SERVICE, given.ROOT)
    journal = steered(there, 10)
    now = there.objects[SPLIT]["spec"]["backends"]
    edit(there, SPLIT, backends=[*now, backend("web-third", 100)])
    home(there, journal)
    assert there.objects[SPLIT]["spec"]["backends"] == [
        backend("web", 45),
        backend("web-next", 5),
        backend("web-third", 50),
    ]


def test_a_torn_split_is_seen_and_put_back() -> None:
    there = world(given.SERVICE, given.ROOT)
    journal = steered(there, 10)
    edit(there, SPLIT, backends=[backend("web-7-stable", 9), backend("web-next", 1)])
    view = SMI.view(CANARY, there.read())
    assert (view.where, "one of the two destinations is gone" in view.drift) == ("mixed", True)
    play(there, SMI.steer(CANARY, there.read(), 10, journal, OWNER), journal)
    assert SMI.view(CANARY, there.read()).weight == 10


@pytest.mark.parametrize("texts", [(given.SERVICE,), (given.SERVICE, given.ROOT)])
def test_a_split_that_somebody_deletes_is_missed_and_made(texts: tuple[str, ...]) -> None:
    there = world(*texts)
    journal = steered(there, 10)
    del there.objects[MADE if len(texts) == 1 else SPLIT]
    assert SMI.view(CANARY, there.read()).where in ("home", "mixed")
    journal = play(there, SMI.steer(CANARY, there.read(), 10, journal, OWNER), journal)
    assert SMI.view(CANARY, there.read()).weight == 10
    home(there, journal)
    assert [ref.name for ref in there.objects] == ["web"]


def test_without_a_service_there_is_nothing_to_split() -> None:
    with pytest.raises(NotFound, match="no TrafficSplit routes to web in shop"):
        SMI.steer(CANARY, {}, 10, (), OWNER)


# -- traffic-only


def test_the_tutorial_moves_from_v1_to_v2_through_500_500() -> None:
    there = world(given.SERVICE, given.VERSIONS, given.OWN_TWO)
    journal = steered(there, 50, backends=TWO)
    assert there.objects[SPLIT]["spec"]["backends"] == [backend("web-v1", 50), backend("web-v2", 50)]
    play(there, SMI.steer(TWO, there.read(), 0, journal, OWNER), journal)
    assert there.objects[SPLIT]["spec"]["backends"] == [backend("web-v1", 1000)]


# -- findings


def test_a_sound_shop_has_no_findings() -> None:
    for texts in ((given.SERVICE,), (given.SERVICE, given.ROOT), (given.SERVICE, given.LEAF)):
        assert codes(world(*texts)) == []
    assert codes(world(given.SERVICE, given.VERSIONS, given.OWN_TWO), TWO) == []


MATCHING = given.ROOT + "  matches:\n  - {kind: HTTPRouteGroup, name: ab}\n"
ELSEWHERE = given.ROOT.replace("{service: web, ", "{service: web-v1, ")
EMPTY = given.ROOT.replace("weight: 900", "weight: 0")
TRACKED = given.ROOT.replace("{team: shop}", '{argocd.argoproj.io/instance: "shop"}')
HEADLESS = given.SERVICE.replace("clusterIP: 10.96.0.7", "clusterIP: None")


@pytest.mark.parametrize(
    ("texts", "code", "level"),
    [
        ((), "RO320", Level.ERROR),
        ((HEADLESS,), "RO321", Level.ERROR),
        ((given.SERVICE, given.ROOT, given.ROOT.replace("name: web,", "name: two,")), "RO340", Level.ERROR),
        ((given.SERVICE, MATCHING), "RO341", Level.ERROR),
        ((given.SERVICE, ELSEWHERE), "RO311", Level.ERROR),
        ((given.SERVICE, EMPTY), "RO311", Level.ERROR),
        ((given.SERVICE, TRACKED), "RO315", Level.WARNING),
    ],
)
def test_what_would_break_the_split_is_found(texts: tuple[str, ...], code: str, level: Level) -> None:
    found = SMI.findings(CANARY, world(*texts).read())
    assert [(it.code, it.level) for it in found] == [(code, level)]


def test_pods_that_requests_would_not_find_or_that_would_starve() -> None:
    there = world(given.SERVICE)
    crowd = Crowd(stable={"app": "web"}, candidate={"app": "shop"}, others=(("stranger", {"app": "web"}),))
    assert [it.code for it in SMI.findings(CANARY, there.read(), crowd)] == ["RO322", "RO325"]
    assert SMI.unreached(CANARY, there.read(), [{"app": "web"}, {"app": "shop"}])[1].startswith("Service/web selects")


@pytest.mark.parametrize(
    ("backends", "texts", "code"),
    [
        (TWO, (given.SERVICE, given.OWN_TWO), "RO330"),
        (Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2")), (given.SERVICE,), "RO330"),
        (TWO, (given.SERVICE, given.VERSIONS), "RO311"),
        (
            TWO,
            (given.SERVICE, given.VERSIONS, given.OWN_TWO + "  - {service: web-v2, weight: 1}\n"),
            "RO331",
        ),
    ],
)
def test_a_traffic_only_plan_needs_both_sides_and_a_route(
    backends: Backends, texts: tuple[str, ...], code: str
) -> None:
    assert code in codes(world(*texts), backends)
