"""What a cache leaves out matters to nobody: with the objects about a Service alone, Istio does just the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.adapters.routers.istio import Istio
from rollout.controller.stores import Store
from rollout.errors import RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import DESTINATION_RULE, SERVICE, VIRTUAL_SERVICE, Kind
from rollout.plan.program import Backends, Side
from rollout.plan.run import Entry
from rollout.ports.router import Objects
from tests.conformance.router_suite import OWNER, World, noted, play

ISTIO = Istio()
CANARY = Backends("shop", "web", "web-7", Side("web", labels={"h": "a"}), Side("web-canary", labels={"h": "b"}))
SUBSETS = Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))
TWO_HOSTS = Backends("shop", "web", "web-7", Side("", host="web"), Side("", host="v2.front.svc.cluster.local"))
BOUND = Backends("shop", "web", "web-7", CANARY.stable, CANARY.candidate, ("first",))
BACKENDS = (CANARY, SUBSETS, TWO_HOSTS, BOUND)

hosts = st.sampled_from(
    ["web", "web.shop", "web.shop.svc.cluster.local", "v2", "v2.front", "v2.front.svc.cluster.local", "api", "x.com"]
)
wide = st.sampled_from(["*", "*.shop.svc.cluster.local", "*.cluster.local", "*.com", "*.front.svc.cluster.local"])
spaces = st.sampled_from(["shop", "front", "istio-system"])
exports = st.sampled_from([None, ["*"], ["."], ["shop"]])


@st.composite
def virtual_services(draw: st.DrawFn) -> Json:
    """Routes of anybody to anything; mirrors and TLS and TCP among them, and parts that are missing."""
    spec: Json = {"hosts": draw(st.lists(hosts | wide, min_size=1, max_size=2))}
    for section in ("http", "tls", "tcp"):
        routes = []
        for _ in range(draw(st.integers(0, 2))):
            entries = []
            for host in draw(st.lists(hosts, min_size=1, max_size=2)):
                destination: Json = {"host": host}
                if subset := draw(st.sampled_from(["", "v1", "v2", "web-7-canary"])):
                    destination["subset"] = subset
                entries.append({"destination": destination, "weight": draw(st.integers(1, 99))})
            route: Json = {"route": entries}
            if section == "http" and draw(st.integers(0, 3)) == 0:
                route["mirror"] = {"host": draw(hosts)}
            if section == "http" and draw(st.integers(0, 5)) == 0:
                route = {"delegate": {"name": "first", "namespace": draw(spaces)}}
            routes.append(route)
        if routes:
            spec[section] = routes
    if (export := draw(exports)) is not None:
        spec["exportTo"] = export
    if gateways := draw(st.sampled_from([[], ["mesh"], ["istio-system/gate"]])):
        spec["gateways"] = gateways
    name = draw(st.sampled_from(["first", "second", "web-7"]))
    return thing(VIRTUAL_SERVICE, name, draw(spaces), spec)


@st.composite
def rules(draw: st.DrawFn) -> Json:
    """DestinationRules; some hide ours."""
    spec: Json = {"host": draw(hosts | wide), "subsets": [{"name": name, "labels": {}} for name in ("v1", "v2")]}
    if (export := draw(exports)) is not None:
        spec["exportTo"] = export
    if draw(st.integers(0, 4)) == 0:
        spec["workloadSelector"] = {"matchLabels": {"a": "b"}}
    return thing(DESTINATION_RULE, draw(st.sampled_from(["one", "two", "web-7"])), draw(spaces), spec)


def thing(kind: Kind, name: str, namespace: str, spec: Json) -> Json:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec,
    }


WEB = thing(SERVICE, "web", "shop", {"ports": [{"name": "http", "port": 80}], "selector": {"app": "web"}})


def about(backends: Backends, world: World) -> Objects:
    """What a controller's cache answers when it is asked for what the router says that it reads."""
    found: dict[Kind, list[Json]] = {}
    for read in ISTIO.reads(backends):
        store = Store(ISTIO.concerns.get(read.kind))
        for obj in world.read().get(read.kind, ()):
            store.put(obj)
        found[read.kind] = store.list(read.namespace, None, read.about)
    return found


def everything(backends: Backends, world: World) -> Objects:
    """The same reads, answered by an API server that knows nothing of Services."""
    objects = world.read()
    return {
        read.kind: sorted(
            (obj for obj in objects.get(read.kind, ()) if read.namespace in ("", obj["metadata"]["namespace"])),
            key=lambda obj: (obj["metadata"]["namespace"], obj["metadata"]["name"]),
        )
        for read in ISTIO.reads(backends)
    }


def outcome(do: Callable[[Objects], Any], objects: Objects) -> Any:
    """What comes of it, or the error in words."""
    try:
        return do(objects)
    except RolloutError as error:
        return type(error), str(error), error.hint


def same(backends: Backends, world: World, journal: tuple[Entry, ...], weight: float) -> None:
    questions: Mapping[str, Callable[[Objects], Any]] = {
        "view": lambda objects: ISTIO.view(backends, objects),
        "findings": lambda objects: ISTIO.findings(backends, objects),
        "steer": lambda objects: ISTIO.steer(backends, objects, weight, journal, OWNER),
        "restore": lambda objects: ISTIO.restore(backends, objects, journal),
        "sweep": lambda objects: ISTIO.sweep(backends, objects),
    }
    few, all_of_them = about(backends, world), everything(backends, world)
    before = deepcopy(few)
    for name, ask in questions.items():
        assert outcome(ask, few) == outcome(ask, all_of_them), name
    assert few == before, "the store's objects are left alone"


@settings(max_examples=200)
@given(
    st.lists(virtual_services() | rules(), max_size=6),
    st.booleans(),
    st.sampled_from(BACKENDS),
    st.lists(st.sampled_from([0, 10, 50, 100]), min_size=1, max_size=3),
)
def test_what_is_not_about_the_service_changes_no_answer(
    objects: list[Json], with_service: bool, backends: Backends, weights: list[float]
) -> None:
    world = World([*objects, *([WEB] if with_service else [])])
    journal: tuple[Entry, ...] = ()
    for weight in weights:
        same(backends, world, journal, weight)
        try:
            changes = ISTIO.steer(backends, world.read(), weight, journal, OWNER)
        except RolloutError:
            continue  # said above, in the same words
        if any(change.op == "create" and change.ref in world.objects for change in changes):
            continue  # the API server refuses it, as the findings do
        journal = play(world, changes, journal)
    same(backends, world, journal, 10)
    for change in ISTIO.restore(backends, about(backends, world), journal):
        world.apply(change)
        journal = noted(journal, change)
    same(backends, world, journal, 10)
