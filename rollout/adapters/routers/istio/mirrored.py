"""Copies of requests for the candidate: an entry of ours in `mirrors` of each HTTP route to the Service.

It is told from its owner's entries by the subset of ours that it names, and by its percentage, which we always write.
A route with `mirror`, the older field for one copy, cannot have `mirrors` besides: nothing is added to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.adapters.routers.istio.hosts import is_service
from rollout.adapters.routers.parts.names import Names
from rollout.adapters.routers.parts.spots import Routing, Spot, home_of, title
from rollout.plan.base import Json
from rollout.plan.program import Backends


def without(route: Json, home: str, backends: Backends) -> Json:
    """An HTTP route as its owner has it: without our copies."""
    said = route.get("mirrors")
    theirs = [it for it in said or () if not _is_ours(it, home, backends)]
    if said is None or len(theirs) == len(said):
        return route
    rest = {key: value for key, value in route.items() if key != "mirrors"}
    return {**rest, "mirrors": theirs} if theirs else rest


def present(obj: Json, backends: Backends) -> list[int]:
    """The places of the routes that copy for us."""
    home, routes = home_of(obj), obj["spec"].get("http") or ()
    return [index for index, route in enumerate(routes) if without(route, home, backends) is not route]


def percent(found: Sequence[Routing], backends: Backends) -> float:
    """Percent of the requests that are copied, the most of any route."""
    shares = (_percent(routing, spot, backends) for routing in found for spot in _spots(routing))
    return max(shares, default=0.0)


def drift(found: Sequence[Routing], backends: Backends, copied: float) -> Iterator[str]:
    """Where not as many requests are copied as elsewhere."""
    for routing in found:
        for spot in _spots(routing):
            if _said(routing, spot) != _wanted(spot, copied):
                yield f"{title(routing.ref, backends)}: {spot} should copy {copied:g} % of its requests, but does not"


def changes(routing: Routing, backends: Backends) -> list[Json]:
    """The operations after which `backends.mirror` percent are copied; before any that moves routes."""
    ops: list[Json] = []
    for spot in _spots(routing):
        if not busy(spot.route):
            ops += _ops(routing.obj, spot.index, _wanted(spot, backends.mirror))
    return ops


def removal(obj: Json, backends: Backends) -> list[Json]:
    """The operations that take our copies out; before any that moves routes."""
    ops: list[Json] = []
    for index in present(obj, backends):
        ops += _ops(obj, index, without(obj["spec"]["http"][index], home_of(obj), backends).get("mirrors"))
    return ops


def busy(route: Json) -> bool:
    """Whether its owner's own copy, in the older field, is in the way."""
    return "mirror" in route


def _spots(routing: Routing) -> list[Spot]:
    return [spot for spot in routing.steered if spot.section == "http"]


def _said(routing: Routing, spot: Spot) -> list[Json] | None:
    said: list[Json] | None = routing.obj["spec"]["http"][spot.index].get("mirrors")
    return said


def _wanted(spot: Spot, copied: float) -> list[Json] | None:
    """The owner's entries and ours, each for its share of the route; None for no list at all."""
    if not copied or busy(spot.route):
        theirs: list[Json] | None = spot.route.get("mirrors")
        return theirs
    whole = sum(share.weight for share in spot.shares) or 1
    ours = [
        {
            "destination": share.candidate["destination"],
            "percentage": {"value": round(copied * share.weight / whole, 2)},
        }
        for share in spot.shares
        if share.state != "foreign" and share.weight
    ]
    return [*(spot.route.get("mirrors") or ()), *ours]


def _percent(routing: Routing, spot: Spot, backends: Backends) -> float:
    home = home_of(routing.obj)
    ours = [it for it in _said(routing, spot) or () if _is_ours(it, home, backends)]
    whole = sum(share.weight for share in spot.shares) or 1
    part = sum(share.weight for share in spot.shares if share.state != "foreign") / whole
    return round(sum(float(it["percentage"]["value"]) for it in ours) / part, 2) if ours and part else 0.0


def _is_ours(entry: Json, home: str, backends: Backends) -> bool:
    to = entry.get("destination") or {}
    name = Names(backends.run).read(str(to.get("subset", "")))
    share = (entry.get("percentage") or {}).get("value")
    return name is not None and name[0] == "canary" and share is not None and is_service(to["host"], home, backends)


def _ops(obj: Json, index: int, wanted: list[Json] | None) -> list[Json]:
    path, said = f"/spec/http/{index}/mirrors", obj["spec"]["http"][index].get("mirrors")
    if said == wanted:
        return []
    test = [] if said is None else [{"op": "test", "path": path, "value": said}]
    return [*test, {"op": "remove", "path": path} if wanted is None else {"op": "add", "path": path, "value": wanted}]
