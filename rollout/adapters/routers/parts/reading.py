"""What the routes say together, and where they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rollout.adapters.routers.parts.shares import fraction
from rollout.adapters.routers.parts.spots import Routing, Spot, title
from rollout.adapters.routers.parts.weights import WHOLE
from rollout.plan.kinds import Ref
from rollout.plan.program import Backends
from rollout.ports.router import RouteView

_SHOWN: Final = 3
"""So many disagreements are told; the rest is counted."""


def settled(spot: Spot, candidate: int, *, own: bool) -> bool:
    """Whether each share of a route is split so (`own`: by destinations of ours)."""
    ours = [share for share in spot.shares if share.state != "foreign"]
    if own and any(share.state != "split" for share in ours):
        return False
    return all(round(WHOLE * share.part / share.weight) == candidate for share in ours if share.weight)


def look(
    backends: Backends, found: Sequence[Routing], beside: Sequence[str], left: tuple[Ref, ...], *, own: bool
) -> RouteView:
    """The view of routes of which some may be split; `beside`: what is wrong although each of them may be right."""
    spots = [(routing, spot) for routing in found for spot in routing.steered]
    seen = Counter(fraction(spot.shares) for _, spot in spots)
    amounts = [amount for amount, _ in seen.most_common() if amount is not None]
    if not own and not any(amounts):
        return RouteView("home")
    expected = _expected(spots, amounts)
    drift = [
        f"{title(routing.ref, backends)}: {_difference(spot, expected)}"
        for routing, spot in spots
        if not settled(spot, expected, own=own)
    ]
    drift += beside
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


def _told(drift: Sequence[str]) -> str:
    more = f"; and {len(drift) - _SHOWN} more" if len(drift) > _SHOWN else ""
    return "; ".join(drift[:_SHOWN]) + more
