"""Where in VirtualServices the service's traffic is routed, and where a subset of ours is named."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from typing import Any, Final

from rollout.adapters.routers.istio.hosts import is_service
from rollout.adapters.routers.istio.matched import is_ours, present
from rollout.adapters.routers.istio.mirrored import without
from rollout.adapters.routers.istio.shares import OwnSubsets, UserBackends
from rollout.adapters.routers.parts.names import Names
from rollout.adapters.routers.parts.spots import Routing, Spot, home_of, traffic_only
from rollout.plan.base import RUN_LABEL, RUN_UID, Json
from rollout.plan.kinds import CONFIGMAP, DESTINATION_RULE, VIRTUAL_SERVICE
from rollout.plan.program import Backends
from rollout.ports.router import Objects

SECTIONS: Final = ("http", "tls", "tcp")
_ELSEWHERE: Final = frozenset({"redirect", "directResponse", "delegate"})
"""Routes with one of these have no destinations of their own."""


def owned(obj: Json, backends: Backends) -> bool:
    """Whether we made the object for this run."""
    meta = obj["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    run = marks.get(RUN_LABEL, backends.run)
    mine = (backends.run, backends.namespace) == (meta["name"], home_of(obj))
    return mine and RUN_UID in marks and run == backends.run


def split_of(backends: Backends, objects: Objects) -> OwnSubsets | UserBackends:
    """How this plan splits."""
    return UserBackends(backends) if traffic_only(backends) else own_subsets(backends, objects)


def own_subsets(backends: Backends, objects: Objects) -> OwnSubsets:
    """Splitting by our subsets, with the owners' long subset names at hand."""
    names = Names(backends.run)
    rules = objects.get(DESTINATION_RULE, ())
    theirs = (subset["name"] for rule in rules for subset in rule["spec"].get("subsets") or ())
    return OwnSubsets(backends, {names.tail(name): name for name in theirs if names.read(name) is None})


def routing(obj: Json, split: OwnSubsets | UserBackends) -> Routing:
    """Read one VirtualService."""
    spec, copies, home = obj["spec"], {"http": present(obj, split.backends)}, home_of(obj)
    spots = [
        Spot(section, index, theirs, shares, beside=bisect(copies.get(section, ()), index))
        for section in SECTIONS
        for index, route in enumerate(spec.get(section) or ())
        if route.get("route") and not _ELSEWHERE & route.keys() and not is_ours(section, route, split.backends)
        for theirs in [without(route, home, split.backends)]
        for shares in [split.shares(theirs["route"], home)]
    ]
    return Routing(VIRTUAL_SERVICE, obj, spots)


def in_scope(backends: Backends, objects: Objects) -> list[Json]:
    """The VirtualServices that the plan steers, in a steady order.

    A plan that names some steers only these, the one that we made, and any that names our subsets: a copy of ours.
    """
    chosen = [
        obj
        for obj in objects.get(VIRTUAL_SERVICE, ())
        if not backends.virtual_services
        or owned(obj, backends)
        or (home_of(obj) == backends.namespace and obj["metadata"]["name"] in backends.virtual_services)
        or names_ours(obj, backends)
    ]
    return sorted(chosen, key=lambda obj: (home_of(obj) != backends.namespace, home_of(obj), obj["metadata"]["name"]))


def routings(backends: Backends, objects: Objects) -> list[Routing]:
    """The VirtualServices in scope that route to the service."""
    split = split_of(backends, objects)
    return [found for found in (routing(obj, split) for obj in in_scope(backends, objects)) if found.steered]


def strays(virtual_service: Json, backends: Backends) -> Iterator[tuple[str, Json]]:
    """Every destination that names a subset of ours, anywhere, with its JSON pointer.

    The same plan in another namespace may have a run of the same name: the subset is ours only at our Service.
    """
    names, home = Names(backends.run), home_of(virtual_service)
    for path, node in _destinations(virtual_service["spec"], "/spec"):
        if names.read(node["subset"]) and is_service(node["host"], home, backends):
            yield path, node


def _destinations(node: Any, path: str) -> Iterator[tuple[str, Json]]:
    """Everything with a host and a subset, at any depth."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _destinations(item, f"{path}/{index}")
    elif isinstance(node, dict):
        if isinstance(node.get("host"), str) and isinstance(node.get("subset"), str):
            yield path, node
        for key, item in node.items():
            yield from _destinations(item, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")


def names_ours(virtual_service: Json, backends: Backends) -> bool:
    """Whether it names a subset of ours anywhere."""
    return next(strays(virtual_service, backends), None) is not None


def sound(objects: Objects) -> Objects:
    """The objects that say something: the API server takes an Istio object without a spec."""
    return {kind: [obj for obj in found if obj.get("spec") or kind == CONFIGMAP] for kind, found in objects.items()}
