"""Chosen requests in VirtualServices: our copies of the owner's routes, put in, kept up to date, and taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollout.plan.base import Json
from rollout.plan.program import Match, Text
from tests.conformance.istio_manifests import RICH, RULE, SERVICE, objects
from tests.conformance.router_suite import World
from tests.conformance.test_routers import CANARY
from tests.kit.virtualservices import NAME, ROUTER, home, http, service, steered

TESTERS = Match({"x-tester": Text("exact", "yes")})
LINK = Match({}, {"campaign": Text("prefix", "win")})
CHOSEN = replace(CANARY, matches=(TESTERS,))
MINE = "web-7-canary-match-"


def to(host: str = "web", **rest: Any) -> Json:
    return {"route": [{"destination": {"host": host}}], **rest}


def world(*routes: Json) -> World:
    return World([*objects(SERVICE), service(*routes)])


def side(route: Mapping[str, Any]) -> set[str]:
    return {it["destination"].get("subset", it["destination"]["host"]) for it in route["route"] if it.get("weight", 1)}


def test_a_copy_stands_before_each_route_to_the_service_with_both_conditions() -> None:
    found = world(
        to(match=[{"uri": {"prefix": "/cart"}}, {"uri": {"exact": "/"}}], timeout="3s"),
        to("elsewhere", match=[{"uri": {"prefix": "/old"}}]),
        to(),
    )
    steered(found, CHOSEN, 0)
    first, cart, old, last, rest = http(found)
    wanted = {"x-tester": {"exact": "yes"}}
    assert first["match"] == [
        {"uri": {"prefix": "/cart"}, "headers": wanted},
        {"uri": {"exact": "/"}, "headers": wanted},
    ]
    assert (first["timeout"], last["match"]) == ("3s", [{"headers": wanted}])
    assert [side(it) for it in (first, cart, old, last, rest)] == [
        {"web-7-canary"},
        {"web-7-stable"},
        {"elsewhere"},
        {"web-7-canary"},
        {"web-7-stable"},
    ]
    view = ROUTER.view(CHOSEN, found.read())
    assert (view.where, view.weight, view.matched) == ("steered", 0, True)


def test_one_of_several_matches_is_enough_and_query_parameters_count() -> None:
    found = world(to())
    steered(found, replace(CANARY, matches=(TESTERS, LINK)), 0)
    assert http(found)[0]["match"] == [
        {"headers": {"x-tester": {"exact": "yes"}}},
        {"queryParams": {"campaign": {"prefix": "win"}}},
    ]


def test_a_route_that_wants_something_else_of_the_same_header_gets_no_copy() -> None:
    found = world(to(match=[{"headers": {"x-tester": {"exact": "no"}}}]), to())
    steered(found, CHOSEN, 0)
    assert [it.get("name", "") for it in http(found)] == ["", f"{MINE}0", ""]


def test_what_the_owner_sends_elsewhere_stays_there_for_the_chosen_too() -> None:
    mixed = {
        "route": [{"destination": {"host": "web"}, "weight": 80}, {"destination": {"host": "other"}, "weight": 20}]
    }
    found = world(mixed)
    steered(found, CHOSEN, 10)
    shares = {
        it["destination"].get("subset", it["destination"]["host"]): it["weight"] for it in http(found)[0]["route"]
    }
    assert shares == {"web-7-canary": 80, "other": 20}


@pytest.mark.parametrize("weight", [0, 10, 100])
def test_they_go_when_they_are_asked_for_no_more_and_the_weights_stay(weight: float) -> None:
    found = world(to(match=[{"uri": {"prefix": "/a"}}]), to())
    journal = steered(found, CHOSEN, weight)
    assert ROUTER.view(CHOSEN, found.read()).matched
    steered(found, CANARY, weight, journal)
    view = ROUTER.view(CHOSEN, found.read())
    assert (view.where, view.weight, view.matched) == ("steered", weight, False)
    assert len(http(found)) == 2


@pytest.mark.parametrize("given", [[service(to(), to(match=[{"port": 80}]))], objects(RICH, RULE)])
def test_restoring_gives_back_exactly_what_was_there(given: list[Json]) -> None:
    found = World([*objects(SERVICE), *given])
    before = found.specs()
    journal = steered(found, CANARY, 0)
    journal = steered(found, CHOSEN, 20, journal)
    home(found, CHOSEN, journal)
    assert found.specs() == before


def test_a_newer_route_of_the_owners_is_kept_and_gets_a_copy_again() -> None:
    found = world(to(timeout="3s"))
    journal = steered(found, CHOSEN, 20)
    newer = service(to(timeout="9s"), to(match=[{"uri": {"prefix": "/new"}}]))
    found.put(newer)
    assert ROUTER.view(CHOSEN, found.read()).where != "steered" or not ROUTER.view(CHOSEN, found.read()).matched
    journal = steered(found, CHOSEN, 20, journal)
    assert [it.get("name", "") for it in http(found)] == [f"{MINE}0", "", f"{MINE}1", ""]
    assert http(found)[0]["timeout"] == "9s"
    home(found, CHOSEN, journal)
    assert found.specs()[NAME] == newer["spec"]


def test_a_live_object_that_the_owner_edits_in_place_keeps_his_edit_and_loses_ours() -> None:
    found = world(to(timeout="3s"))
    journal = steered(found, CHOSEN, 20)
    edited = [dict(it, retries={"attempts": 2}) for it in http(found)]
    found.put(service(*edited))
    view = ROUTER.view(CHOSEN, found.read())
    assert view.matched
    found.put(service(edited[0], dict(edited[1], timeout="8s")))
    assert ROUTER.view(CHOSEN, found.read()).where == "mixed", "the copy is not of the newest route"
    journal = steered(found, CHOSEN, 20, journal)
    assert http(found)[0]["timeout"] == "8s"
    home(found, CHOSEN, journal)
    assert http(found) == [to(timeout="8s", retries={"attempts": 2})]


def test_alike_routes_are_given_back_each_to_its_own_place() -> None:
    one = {"route": [{"destination": {"host": "web"}}]}
    two = {"route": [{"destination": {"host": "web"}, "weight": 100}]}
    found = world(one, two, to(match=[{"uri": {"prefix": "/x"}}]))
    before = found.specs()
    journal = steered(found, CANARY, 0)
    journal = steered(found, CHOSEN, 30, journal)
    home(found, CHOSEN, journal)
    assert found.specs() == before


def test_the_way_home_knows_that_chosen_requests_are_traffic() -> None:
    found = world(to())
    journal = steered(found, CANARY, 0)
    assert not any(line.kind == "weight" for line in journal)
    journal = steered(found, CHOSEN, 0, journal)
    assert any(line.kind == "weight" for line in journal)


def test_a_tool_that_re_applies_the_routes_has_to_ignore_the_whole_list() -> None:
    obj = service(to())
    obj["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "shop:networking.istio.io/VirtualService:shop/web"
    }
    found = World([*objects(SERVICE), obj]).read()
    hints = [
        next(it.fix for it in ROUTER.findings(backends, found) if it.code == "RO315") for backends in (CHOSEN, CANARY)
    ]
    assert ["`.spec.http`" in hint for hint in hints] == [True, False]
