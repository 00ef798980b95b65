"""Rules of ours for chosen requests: before each route to the Service stands a copy of it that leads to the candidate.

The copy has a name of ours, the owner's own conditions and ours besides; whatever else the owner's route says (a
timeout, a rewrite) holds for it too.  It follows his route when that changes, and is taken out with the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.adapters.routers.parts.names import Names
from rollout.adapters.routers.parts.shares import Split, divide
from rollout.adapters.routers.parts.spots import Routing, Spot, title
from rollout.adapters.routers.parts.weights import WHOLE
from rollout.plan.base import Json
from rollout.plan.program import Backends, Match

_FIELDS = {"headers": "headers", "query": "queryParams"}
"""Where a condition stands in an HTTPMatchRequest."""


def is_ours(section: str, route: Json, backends: Backends) -> bool:
    """Whether a route is one of our copies."""
    return section == "http" and str(route.get("name", "")).startswith(_stem(backends))


def present(obj: Json, backends: Backends) -> list[int]:
    """The places of our copies."""
    routes = obj["spec"].get("http") or ()
    return [index for index, route in enumerate(routes) if is_ours("http", route, backends)]


def changes(routing: Routing, split: Split, backends: Backends) -> list[Json]:
    """The operations after which our copies are as `backends.matches` wants them; for the end of a patch."""
    wanted = _wanted(routing, split, backends)
    if wanted == routing.obj["spec"].get("http", []):
        return []
    return [*removal(routing.obj, backends), *_insertion(wanted, backends)]


def removal(obj: Json, backends: Backends) -> list[Json]:
    """The operations that take our copies out, the last one first, so that places hold."""
    routes, ops = obj["spec"].get("http") or (), []
    for index in reversed(present(obj, backends)):
        path = f"/spec/http/{index}"
        ops += [{"op": "test", "path": f"{path}/name", "value": routes[index]["name"]}, {"op": "remove", "path": path}]
    return ops


def drift(found: Sequence[Routing], split: Split, backends: Backends) -> Iterator[str]:
    """Where our copies are not as they should be, if there are any."""
    for routing in found:
        if _wanted(routing, split, backends) != routing.obj["spec"].get("http", []):
            text = "should lead the chosen requests to the candidate, before each route to the Service"
            yield f"{title(routing.ref, backends)}: {text}, but does not"


def _stem(backends: Backends) -> str:
    return Names(backends.run).subset("canary", "match-")


def _insertion(wanted: Sequence[Json], backends: Backends) -> Iterator[Json]:
    for index, route in enumerate(wanted):
        if is_ours("http", route, backends):
            yield {"op": "add", "path": f"/spec/http/{index}", "value": route}


def _wanted(routing: Routing, split: Split, backends: Backends) -> list[Json]:
    """All HTTP routes of an object, with our copies where they belong."""
    steered = {spot.index: spot for spot in routing.steered if spot.section == "http"}
    wanted: list[Json] = []
    copies = 0
    for index, route in enumerate(routing.obj["spec"].get("http") or ()):
        if is_ours("http", route, backends):
            continue
        conditions = _conditions(route, backends.matches) if index in steered else []
        if conditions:
            wanted.append(_copy(steered[index], conditions, f"{_stem(backends)}{copies}", split))
            copies += 1
        wanted.append(route)
    return wanted


def _copy(spot: Spot, conditions: list[Json], name: str, split: Split) -> Json:
    """The owner's route for chosen requests: his other destinations keep their shares, ours all goes to one side."""
    entries = [entry for entry in divide(spot.shares, WHOLE, split) if entry["weight"]]
    return {**spot.route, "name": name, "match": conditions, "route": entries}


def _conditions(route: Json, matches: Sequence[Match]) -> list[Json]:
    """Those under which the owner's route holds and one of ours does; what cannot both be is left out."""
    said: Sequence[Json] = route.get("match") or [{}]
    both = [_both(theirs, ours) for theirs in said for ours in matches]
    return [it for it in both if it is not None]


def _both(theirs: Json, ours: Match) -> Json | None:
    merged = dict(theirs)
    for field, key in _FIELDS.items():
        said = theirs.get(key) or {}
        wanted = {name: {text.how: text.value} for name, text in getattr(ours, field).items()}
        if any(name in said and said[name] != value for name, value in wanted.items()):
            return None
        if wanted:
            merged[key] = {**said, **wanted}
    return merged
