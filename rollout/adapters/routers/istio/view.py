"""What the routes say now, and where they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rollout.adapters.routers.istio.made import export_ops, find_made, is_missing, made_ref
from rollout.adapters.routers.istio.routes import Routing, Spot, names_ours, owned, routings, title, traffic_only
from rollout.adapters.routers.istio.rule import find_rule, rule_ref, wanted_spec
from rollout.adapters.routers.istio.shares import fraction
from rollout.adapters.routers.istio.weights import WHOLE
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects, RouteView

_SHOWN = 3
"""So many disagreements are told; the rest is counted."""


def settled(spot: Spot, candidate: int, *, own: bool) -> bool:
    """Whether each share of a route is split so (`own`: by our subsets)."""
    ours = [share for share in spot.shares if share.state != "foreign"]
    if own and any(share.state != "split" for share in ours):
        return False
    return all(round(WHOLE * share.part / share.weight) == candidate for share in ours if share.weight)


def look(backends: Backends, objects: Objects) -> RouteView:
    """The view; see `ports.router.RouteView`."""
    own = not traffic_only(backends)
    found = routings(backends, objects)
    spots = [(routing, spot) for routing in found for spot in routing.steered]
    left = _leftovers(backends, objects)
    seen = Counter(fraction(spot.shares) for _, spot in spots)
    seen.pop(None, None)
    amounts = [amount for amount, _ in seen.most_common() if amount is not None]
    if own and not _ours_anywhere(backends, objects):
        return RouteView("home", leftovers=left)
    if not own and not any(amounts):
        return RouteView("home")
    expected = _expected(spots, amounts)
    drift = [
        f"{title(routing.ref, backends)}: {_difference(spot, expected)}"
        for routing, spot in spots
        if not settled(spot, expected, own=own)
    ]
    if own:
        drift += _beside_routes(backends, objects, found)
    if not drift:
        return RouteView("steered", expected / 100, leftovers=left)
    return RouteView("mixed", max(amounts, default=0) / 100, _told(drift), left)


def _expected(spots: Sequence[tuple[Routing, Spot]], amounts: Sequence[int]) -> int:
    """What most of the routes that we have written give the candidate."""
    ours = Counter(fraction(spot.shares) or 0 for _, spot in spots if spot.touched)
    return ours.most_common(1)[0][0] if ours else next(iter(amounts), 0)


def _difference(spot: Spot, expected: int) -> str:
    wanted = f"route {spot} should give the candidate {expected / 100:g} %"
    states = {share.state for share in spot.shares if share.state != "foreign"}
    if "torn" in states:
        return f"{wanted}, but one of the two destinations is gone"
    amount = fraction(spot.shares)
    if "whole" in states and not amount:
        return f"{wanted}, but it is not split"
    return f"{wanted}, but it gives {(amount or 0) / 100:g} %"


def _ours_anywhere(backends: Backends, objects: Objects) -> bool:
    return any(names_ours(obj, backends) for obj in objects.get(VIRTUAL_SERVICE, ()))


def _beside_routes(backends: Backends, objects: Objects, found: Sequence[Routing]) -> list[str]:
    """What is wrong although each route may be right: a route or the subsets missing."""
    told: list[str] = []
    if is_missing(backends, objects):
        told.append(f"{title(made_ref(backends), backends)}: should exist, but callers in the mesh have no split route")
    made = find_made(backends, objects)
    if made is not None and export_ops(backends, objects, made):
        told.append(f"{title(made_ref(backends), backends)}: should be seen where your own rule is, but is not")
    rule = find_rule(backends, objects)
    if rule is None or not owned(rule, backends):
        told.append(f"{title(rule_ref(backends), backends)}: should exist, but the subsets that routes name are gone")
    elif rule["spec"] != wanted_spec(backends, objects, found):
        told.append(
            f"{title(rule_ref(backends), backends)}: its subsets should follow the pods and your own rule, but differ"
        )
    return told


def _told(drift: Sequence[str]) -> str:
    more = f"; and {len(drift) - _SHOWN} more" if len(drift) > _SHOWN else ""
    return "; ".join(drift[:_SHOWN]) + more


def _leftovers(backends: Backends, objects: Objects) -> tuple[Ref, ...]:
    if traffic_only(backends):
        return ()
    rule = find_rule(backends, objects)
    left = (rule_ref(backends),) if rule is not None and owned(rule, backends) else ()
    return (made_ref(backends), *left) if find_made(backends, objects) else left
