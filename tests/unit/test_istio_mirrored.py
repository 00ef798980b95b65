"""Copies of requests in VirtualServices: entries of ours in `mirrors`, put in, kept in step, and taken out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.plan.base import Json
from rollout.plan.program import Match, Text
from tests.conformance.istio_manifests import RICH, RULE, SERVICE, objects
from tests.conformance.router_suite import World
from tests.conformance.test_routers import CANARY
from tests.kit.virtualservices import NAME, ROUTER, home, http, service, steered

COPYING = replace(CANARY, mirror=20.0)
TESTERS = Match({"x-tester": Text("exact", "yes")})
AUDIT: Json = {"destination": {"host": "audit"}, "percentage": {"value": 5}}


def to(*hosts: str, **rest: Any) -> Json:
    share = 100 // (len(hosts) or 1)
    weighed: Json = {"weight": share} if len(hosts) > 1 else {}
    return {"route": [{"destination": {"host": host}, **weighed} for host in hosts or ("web",)], **rest}


def copies(route: Json) -> list[tuple[str, float]]:
    return [
        (it["destination"].get("subset", it["destination"]["host"]), it["percentage"]["value"])
        for it in route.get("mirrors", ())
    ]


def test_each_route_to_the_service_copies_its_own_share_and_others_none() -> None:
    found = World([*objects(SERVICE), service(to("web", "other"), to("elsewhere"), to())])
    steered(found, COPYING, 0)
    assert [copies(it) for it in http(found)] == [[("web-7-canary", 10)], [], [("web-7-canary", 20)]]
    view = ROUTER.view(COPYING, found.read())
    assert (view.where, view.weight, view.mirrored) == ("steered", 0, 20)


def test_the_owners_own_copies_stay_and_an_older_field_is_left_alone() -> None:
    found = World([*objects(SERVICE), service(to(mirrors=[AUDIT]), to(mirror={"host": "audit"}))])
    steered(found, COPYING, 0)
    first, second = http(found)
    assert copies(first) == [("audit", 5), ("web-7-canary", 20)]
    assert "mirrors" not in second


@pytest.mark.parametrize("weight", [0, 0.5, 10, 100])
def test_they_go_when_they_are_asked_for_no_more_and_the_weights_stay(weight: float) -> None:
    found = World([*objects(SERVICE), service(to(mirrors=[AUDIT]), to())])
    journal = steered(found, COPYING, weight)
    assert ROUTER.view(COPYING, found.read()).mirrored == 20
    journal = steered(found, replace(CANARY, mirror=2.5), weight, journal)
    assert ROUTER.view(COPYING, found.read()).mirrored == 2.5
    steered(found, CANARY, weight, journal)
    view = ROUTER.view(COPYING, found.read())
    assert (view.where, view.weight, view.mirrored) == ("steered", weight, 0)
    assert [copies(it) for it in http(found)] == [[("audit", 5)], []]


@pytest.mark.parametrize(
    "given",
    [[service(to(), to(match=[{"port": 80}], mirrors=[AUDIT]))], objects(RICH, RULE), [service(to("web", "b"))]],
)
@pytest.mark.parametrize("matches", [(), (TESTERS,)])
def test_restoring_gives_back_exactly_what_was_there(given: list[Json], matches: tuple[Match, ...]) -> None:
    found = World([*objects(SERVICE), *given])
    before = found.specs()
    journal = steered(found, CANARY, 0)
    journal = steered(found, replace(COPYING, matches=matches), 20, journal)
    home(found, COPYING, journal)
    assert found.specs() == before


def test_a_newer_route_of_the_owners_is_kept_and_copied_again() -> None:
    found = World([*objects(SERVICE), service(to(timeout="3s"))])
    journal = steered(found, COPYING, 20)
    newer = service(to(timeout="9s"), to(match=[{"uri": {"prefix": "/new"}}], mirrors=[AUDIT]))
    found.put(newer)
    journal = steered(found, COPYING, 20, journal)
    assert [copies(it)[-1] for it in http(found)] == [("web-7-canary", 20)] * 2
    home(found, COPYING, journal)
    assert found.specs()[NAME] == newer["spec"]


def test_a_copy_that_is_missing_in_one_route_is_told_and_put_back() -> None:
    found = World([*objects(SERVICE), service(to(timeout="3s"), to())])
    journal = steered(found, COPYING, 20)
    first, second = http(found)
    found.put(service({key: value for key, value in first.items() if key != "mirrors"}, second))
    view = ROUTER.view(COPYING, found.read())
    assert view.where == "mixed"
    assert "should copy 20 % of its requests" in view.drift
    steered(found, COPYING, 20, journal)
    assert ROUTER.view(COPYING, found.read()).where == "steered"


def test_the_way_home_knows_that_copies_reach_the_candidate() -> None:
    found = World([*objects(SERVICE), service(to())])
    journal = steered(found, CANARY, 0)
    assert not any(line.kind == "weight" for line in journal)
    journal = steered(found, COPYING, 0, journal)
    assert any(line.kind == "weight" for line in journal)
