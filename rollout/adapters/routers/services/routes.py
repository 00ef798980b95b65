"""Which objects route to the Service, and which are made for the run because none decides for callers in the mesh."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.adapters.routers.parts.selected import service_of
from rollout.adapters.routers.parts.spots import Routing, Spot, home_of, traffic_only
from rollout.adapters.routers.services.dialect import Dialect, Wanted
from rollout.adapters.routers.services.pair import ROLES, find, marked
from rollout.adapters.routers.services.sides import Place
from rollout.adapters.routers.services.split import split_of
from rollout.plan.base import Json
from rollout.plan.kinds import Kind
from rollout.plan.program import Backends
from rollout.ports.router import Objects


def routing(dialect: Dialect, backends: Backends, kind: Kind, obj: Json) -> Routing:
    """Read one object."""
    split, home = split_of(dialect, backends), home_of(obj)
    return Routing(
        kind,
        obj,
        [
            Spot(rule.section, rule.index, rule.body, split.shares(rule.body[rule.key], home), rule.key)
            for rule in dialect.rules(obj)
            if rule.body.get(rule.key)
        ],
    )


def routings(dialect: Dialect, backends: Backends, objects: Objects) -> list[Routing]:
    """The objects that route to the Service, in a steady order."""
    counted = ((kind, obj) for kind, obj in _all(dialect, objects) if dialect.counts(obj, backends))
    read = (routing(dialect, backends, kind, obj) for kind, obj in counted)
    found = [one for one in read if one.steered]
    return sorted(found, key=lambda it: (it.ref.namespace != backends.namespace, it.ref))


def owned(dialect: Dialect, found: Routing, backends: Backends) -> bool:
    """Whether we made the object for this run. A copy of it under another name is its owner's."""
    return marked(found.obj, backends) and dialect.made_for(found.ref.name, backends)


def touched(found: Routing) -> bool:
    """Whether one of our Services is named in it (traffic-only: whether weight has moved)."""
    return any(spot.touched for spot in found.steered)


def missing(dialect: Dialect, backends: Backends, objects: Objects) -> list[Wanted]:
    """The routes that have to be made. A plan that shifts between the owner's Services never gets one."""
    service = service_of(backends, objects)
    if traffic_only(backends) or service is None:
        return []
    return [it for it in dialect.wanted(backends, service, objects) if not _is_made(it, backends, objects)]


def answering(dialect: Dialect, backends: Backends, objects: Objects) -> list[Routing]:
    """The owner's objects that decide for callers in the mesh."""
    read = (
        routing(dialect, backends, kind, obj) for kind, obj in _all(dialect, objects) if dialect.answers(obj, backends)
    )
    return [one for one in read if not owned(dialect, one, backends)]


def named_anywhere(dialect: Dialect, backends: Backends, objects: Objects) -> bool:
    """Whether any object still has one of our destinations in any place, a mirror that was copied for one."""
    ours = {_name(dialect.sides.ours(backends, role)) for role in ROLES}
    here = (obj for _, obj in _all(dialect, objects) if home_of(obj) == backends.namespace)
    return any(_mentions(obj["spec"], ours) for obj in here) or any(
        touched(one) for one in routings(dialect, backends, objects)
    )


def _all(dialect: Dialect, objects: Objects) -> Iterator[tuple[Kind, Json]]:
    for kind in dialect.flat:
        yield from ((kind, obj) for obj in objects.get(kind, ()))


def _name(place: Place) -> str:
    return place.subset or place.name


def _is_made(wanted: Wanted, backends: Backends, objects: Objects) -> bool:
    found = find(wanted.ref, objects)
    return found is not None and marked(found, backends)


def _mentions(part: object, names: set[str]) -> bool:
    """Whether one of the names is a value anywhere. Too many hits keep a Service longer, too few would be a 500."""
    if isinstance(part, dict):
        return any(_mentions(value, names) for value in part.values())
    if isinstance(part, list):
        return any(_mentions(value, names) for value in part)
    return isinstance(part, str) and part.partition(".")[0] in names
