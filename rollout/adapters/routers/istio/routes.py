"""Where in VirtualServices the service's traffic is routed, and where a subset of ours is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any, Final

from rollout.adapters.routers.istio.hosts import home_of, is_service
from rollout.adapters.routers.istio.shares import OwnSubsets, Share, Split, UserBackends
from rollout.adapters.routers.istio.subsets import Names
from rollout.plan.base import RUN_LABEL, RUN_UID, Json
from rollout.plan.kinds import DESTINATION_RULE, VIRTUAL_SERVICE, Kind, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects

SECTIONS: Final = ("http", "tls", "tcp")
_ELSEWHERE: Final = frozenset({"redirect", "directResponse", "delegate"})
"""Routes with one of these have no destinations of their own."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One route of a VirtualService that has destinations, and how these are shared."""

    section: str
    index: int
    route: Json
    shares: Sequence[Share]

    @property
    def entries(self) -> list[Json]:
        """Its destinations."""
        found: list[Json] = self.route["route"]
        return found

    @property
    def path(self) -> str:
        """The JSON pointer of its destinations."""
        return f"/spec/{self.section}/{self.index}/route"

    @property
    def name(self) -> str:
        """The name that its owner gave it; empty for none."""
        return str(self.route.get("name", ""))

    @property
    def rest(self) -> str:
        """A digest of everything but its destinations, to know it again when it has moved."""
        rest = {key: value for key, value in self.route.items() if key != "route"}
        return sha256(dumps(rest, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def steered(self) -> bool:
        """Whether it goes to the service."""
        return any(share.state != "foreign" for share in self.shares)

    @property
    def touched(self) -> bool:
        """Whether the candidate, or a subset of ours, has a place in it that its owner did not give."""
        return any(share.state in ("split", "torn") for share in self.shares)

    def __str__(self) -> str:
        return f"{self.section}[{self.index}]" + (f" '{self.name}'" if self.name else "")


@dataclass(frozen=True, slots=True)
class Routing:
    """One VirtualService with its routes."""

    obj: Json
    spots: Sequence[Spot]

    @property
    def ref(self) -> Ref:
        """Its name."""
        return ref(VIRTUAL_SERVICE, self.obj)

    @property
    def steered(self) -> list[Spot]:
        """Its routes to the service."""
        return [spot for spot in self.spots if spot.steered]


def ref(kind: Kind, obj: Json) -> Ref:
    """The name of an object (list items may come without their kind)."""
    return Ref(kind, home_of(obj), obj["metadata"]["name"])


def title(obj_ref: Ref, backends: Backends) -> str:
    """An object in words; the namespace only when it is not the plan's."""
    where = "" if obj_ref.namespace == backends.namespace else f" in {obj_ref.namespace}"
    return f"{obj_ref.kind}/{obj_ref.name}{where}"


def traffic_only(backends: Backends) -> bool:
    """Whether both sides are the owner's, so that no subsets of ours are needed."""
    return not backends.stable.labels and not backends.candidate.labels


def owned(obj: Json, backends: Backends) -> bool:
    """Whether we made the object for this run."""
    meta = obj["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    run = marks.get(RUN_LABEL, backends.run)
    mine = (backends.run, backends.namespace) == (meta["name"], home_of(obj))
    return mine and RUN_UID in marks and run == backends.run


def split_of(backends: Backends, objects: Objects) -> Split:
    """How this plan splits."""
    return UserBackends(backends) if traffic_only(backends) else own_subsets(backends, objects)


def own_subsets(backends: Backends, objects: Objects) -> OwnSubsets:
    """Splitting by our subsets, with the owners' long subset names at hand."""
    names = Names(backends.run)
    rules = objects.get(DESTINATION_RULE, ())
    theirs = (subset["name"] for rule in rules for subset in rule["spec"].get("subsets") or ())
    return OwnSubsets(backends, {names.tail(name): name for name in theirs if names.read(name) is None})


def routing(obj: Json, split: Split) -> Routing:
    """Read one VirtualService."""
    spec = obj["spec"]
    spots = [
        Spot(section, index, route, split.shares(route["route"], home_of(obj)))
        for section in SECTIONS
        for index, route in enumerate(spec.get(section) or ())
        if route.get("route") and not _ELSEWHERE & route.keys()
    ]
    return Routing(obj, spots)


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
    return {kind: [obj for obj in found if obj.get("spec")] for kind, found in objects.items()}
