"""Random VirtualServices, random weights, random edits of the owner: what he wrote comes back."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rollout.adapters.routers.istio import Istio
from rollout.adapters.routers.parts.names import Names
from rollout.adapters.routers.parts.weights import WHOLE, tidy, units
from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends, Side
from rollout.plan.run import Entry
from tests.conformance.router_suite import OWNER, World, play

CANARY = Backends("shop", "web", "web-7", Side("web", labels={"h": "a"}), Side("web-canary", labels={"h": "b"}))
SUBSETS = Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))
WEB = Ref(VIRTUAL_SERVICE, "shop", "web")

ISTIO = Istio()
SERVICE_HOSTS = ("web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local")
weights = st.one_of(st.sampled_from([0, 1, 10, 50, 99.99, 100]), st.integers(0, 10_000).map(lambda n: n / 100))


@st.composite
def destinations(draw: st.DrawFn, subsets: tuple[str | None, ...]) -> list[Json]:
    """A route's list; a lone destination may have no weight, as Istio has it."""
    entries: list[Json] = []
    for _ in range(draw(st.integers(1, 4))):
        host = draw(st.sampled_from([*SERVICE_HOSTS, "legacy", "web.other.svc.cluster.local"]))
        destination: Json = {"host": host}
        subset = draw(st.sampled_from(subsets))
        if subset:
            destination["subset"] = subset
        if draw(st.booleans()):
            destination["port"] = {"number": draw(st.sampled_from([80, 90]))}
        entry: Json = {"destination": destination, "weight": draw(st.integers(1, 200))}
        if draw(st.integers(0, 3)) == 0:
            entry["headers"] = {"request": {"set": {"x-n": str(draw(st.integers(0, 3)))}}}
        entries.append(entry)
    if len(entries) == 1 and draw(st.booleans()):
        del entries[0]["weight"]
    return entries


@st.composite
def specs(draw: st.DrawFn, subsets: tuple[str | None, ...] = (None, None, "v1", "v2")) -> Json:
    """The spec of a VirtualService for the host."""
    spec: Json = {"hosts": ["web"]}
    for section in ("http", "tls", "tcp"):
        routes: list[Json] = []
        for number in range(draw(st.integers(0, 3))):
            route: Json = {"match": [{"port": 1000 + number}], "route": draw(destinations(subsets))}
            if section == "http":
                if draw(st.booleans()):
                    route["name"] = f"r{number}"
                if draw(st.booleans()):
                    route["timeout"] = "3s"
                if draw(st.integers(0, 5)) == 0:
                    route = {"match": route["match"], "redirect": {"uri": "/new"}}
            routes.append(route)
        if routes:
            spec[section] = routes
    return spec


def world_of(spec: Json) -> World:
    obj = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "spec": spec}
    return World([{**obj, "metadata": {"name": "web", "namespace": "shop"}}])


def steer(world: World, backends: Backends, weight: float, journal: tuple[Entry, ...]) -> tuple[Entry, ...]:
    objects = world.read()
    return play(world, ISTIO.steer(backends, objects, weight, journal, OWNER), journal)


def routes_to_service(spec: Json) -> bool:
    return any(
        entry["destination"]["host"] in SERVICE_HOSTS
        for section in ("http", "tls", "tcp")
        for route in spec.get(section, ())
        for entry in route.get("route", ())
    )


@given(specs(), st.lists(weights, min_size=1, max_size=5))
def test_any_sequence_of_weights_is_undone(spec: Json, sequence: list[float]) -> None:
    world = world_of(deepcopy(spec))
    assume(routes_to_service(spec))
    journal: tuple[Entry, ...] = ()
    for weight in sequence:
        journal = steer(world, CANARY, weight, journal)
        view = ISTIO.view(CANARY, world.read())
        assert (view.where, view.weight, view.drift) == ("steered", weight, "")
    play(world, ISTIO.restore(CANARY, world.read(), journal))
    assert world.objects[WEB]["spec"] == spec
    play(world, ISTIO.sweep(CANARY, world.read()))
    assert set(world.objects) == {WEB}


@given(specs(), weights)
def test_without_the_journal_our_names_are_gone_and_shares_are_kept(spec: Json, weight: float) -> None:
    """The journal is lost: the route is proportional to what it was, in smaller numbers perhaps."""
    world = world_of(deepcopy(spec))
    assume(routes_to_service(spec))
    steer(world, CANARY, weight, ())
    play(world, ISTIO.restore(CANARY, world.read(), ()))
    assert proportions(world.objects[WEB]["spec"]) == proportions(spec)


def proportions(spec: Json) -> Json:
    """The spec with each route's weights in smallest numbers."""
    spec = deepcopy(spec)
    for section in ("http", "tls", "tcp"):
        for route in spec.get(section, ()):
            entries = route.get("route", ())
            for entry, number in zip(
                entries, tidy([entry.get("weight", 100) for entry in entries] or [1]), strict=False
            ):
                entry["weight"] = number
    return spec


def _reverse(spec: Json, section: str) -> None:
    spec.get(section, []).reverse()


def _timeout(spec: Json, section: str) -> None:
    for route in spec.get(section, ()):
        route["timeout"] = "9s"


def _rename(spec: Json, section: str) -> None:
    for number, route in enumerate(spec.get(section, ())):
        route["name"] = f"new-{number}"


def _drop(spec: Json, section: str) -> None:
    del spec.get(section, [])[1:]


def _front(spec: Json, section: str) -> None:
    new = {"match": [{"port": 7}], "route": [{"destination": {"host": "web"}, "weight": 5}]}
    spec.setdefault(section, []).insert(0, new)


def _host(spec: Json, section: str) -> None:
    spec["hosts"] = ["web", f"{section}.example.com"]


EDITS: dict[str, Callable[[Json, str], None]] = {
    "reverse": _reverse,
    "timeout": _timeout,
    "rename": _rename,
    "drop": _drop,
    "front": _front,
    "host": _host,
}
edits = st.tuples(st.sampled_from(sorted(EDITS)), st.sampled_from(["http", "tls", "tcp"]))


def pinned_down(spec: Json) -> Json:
    """Lone destinations with a weight: with and without it, two unnamed routes could be told apart no more."""
    for section in ("http", "tls", "tcp"):
        for route in spec.get(section, ()):
            if len(route.get("route", ())) == 1:
                route["route"][0].setdefault("weight", 100)
    return proportions(spec)


@settings(max_examples=150)
@given(specs(), st.lists(st.one_of(weights, edits), min_size=1, max_size=8))
def test_edits_of_the_owner_survive(spec: Json, story: list[Any]) -> None:
    """He edits what he finds, our destinations included; in the end he has his edits on what he had."""
    spec = pinned_down(spec)
    assume(routes_to_service(spec))
    world = world_of(deepcopy(spec))
    expected = deepcopy(spec)
    journal = steer(world, CANARY, 10, ())
    for act in story:
        if isinstance(act, tuple):
            edit, section = act
            EDITS[edit](expected, section)
            live = deepcopy(world.objects[WEB])
            EDITS[edit](live["spec"], section)
            world.put(live)
        elif routes_to_service(world.objects[WEB]["spec"]):
            journal = steer(world, CANARY, act, journal)
    play(world, ISTIO.restore(CANARY, world.read(), journal))
    assert pinned_down(world.objects[WEB]["spec"]) == pinned_down(expected)
    assert "web-7" not in str(world.objects[WEB]["spec"])


@given(specs(subsets=("v1", "v3")), st.lists(weights, min_size=1, max_size=4))
def test_traffic_between_the_owners_subsets_comes_back(spec: Json, sequence: list[float]) -> None:
    world = world_of(deepcopy(spec))
    assume(not any(finding.code == "RO311" for finding in ISTIO.findings(SUBSETS, world.read())))
    journal: tuple[Entry, ...] = ()
    for weight in sequence:
        journal = steer(world, SUBSETS, weight, journal)
        assert ISTIO.view(SUBSETS, world.read()).weight == weight
    play(world, ISTIO.restore(SUBSETS, world.read(), journal))
    assert world.objects[WEB]["spec"] == spec


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5))
def test_weights_never_overflow_nor_vanish(numbers: list[int]) -> None:
    found = tidy([number * WHOLE for number in numbers])
    assert sum(found) < 2**31
    assert [bool(number) for number in found] == [bool(number) for number in numbers]


@given(st.floats(0, 100, allow_nan=False))
def test_some_is_never_rounded_to_none_or_all(percent: float) -> None:
    assert (units(percent) == 0) == (percent == 0)
    assert (units(percent) == WHOLE) == (percent == 100)


@given(
    st.from_regex(r"[a-z]([-a-z0-9]{0,80}[a-z0-9])?", fullmatch=True), st.from_regex(r"[a-z0-9]{1,63}", fullmatch=True)
)
def test_names_of_subsets_are_labels_that_can_be_read_back(run: str, subset: str) -> None:
    names = Names(run)
    tail = names.tail(subset)
    for role in ("stable", "canary"):
        ours = names.subset(role, tail)
        assert len(ours) <= 63
        assert names.read(ours) == (role, tail)
    assert names.read(subset) is None or subset.startswith(run[:20])
