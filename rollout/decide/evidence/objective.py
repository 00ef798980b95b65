"""Absolute: more bad requests than an objective allows, or provably fewer.  The gate `slo`; needs no primary.

allowed = burn * (1 - objective) is the share p0 of bad requests that still passes.

    ln factor(rho) = (e ln rho + (n - e) ln((1 - rho p0) / (1 - p0))) / phi

Alternatives rho > 1 speak against "p <= p0", rho < 1 against "p >= p0".
"""

from __future__ import annotations

import math
from typing import Final

from rollout.decide.evidence.mixture import Mixture, advance, change_point, from_the_start
from rollout.decide.evidence.ratio import RATIOS
from rollout.errors import InvalidInput

FRACTIONS: Final = tuple(1 / rho for rho in RATIOS)
"""How many times the allowed share the alternatives of the proof have."""


def overspend(before: Mixture, total: float, bad: float, *, allowed: float, planned: int, phi: float = 1.0) -> Mixture:
    """One look more of evidence that the share of bad requests exceeds what is allowed, since whatever look."""
    if total <= 0:
        return before
    return advance(before, factors(total, bad, allowed, ratios(allowed), phi), change_point(before.looks, planned))


def ratios(allowed: float) -> tuple[float, ...]:
    """How many times what is allowed the alternatives of `overspend` have: no share is over 1."""
    return tuple(rho for rho in RATIOS if rho * allowed < 1) or ((1 + 1 / allowed) / 2,)


def keep(before: Mixture, total: float, bad: float, *, allowed: float, phi: float = 1.0) -> Mixture:
    """One look more of evidence that it is less, over all looks."""
    if total <= 0:
        return before
    return advance(before, factors(total, bad, allowed, FRACTIONS, phi), from_the_start(before.looks))


def factors(total: float, bad: float, allowed: float, times: tuple[float, ...], phi: float = 1.0) -> tuple[float, ...]:
    """ln of each alternative's factor at one look. Raises InvalidInput when everything, or a negative share, passes."""
    if not 0 <= allowed < 1:
        raise InvalidInput(
            f"a share of {allowed:g} bad requests cannot be judged",
            where="objective",
            hint="lower burn or raise the objective: burn * (1 - objective) must be below 100 %",
        )
    good, base = total - bad, math.log1p(-allowed)
    return tuple((bad * math.log(rho) + good * (math.log1p(-rho * allowed) - base)) / phi for rho in times)


def requests_to_keep(margin: float, beta: float) -> float:
    """Requests without a single bad one that prove a share below `margin`: the rule of three at beta 5 %."""
    return -math.log(beta) / margin


def sense(before: tuple[float, float], total: float, *, allowed: float, times: float = 2.0) -> tuple[float, float]:
    """Mean and variance of what the evidence against `times` the allowed share would be, with one look more.

    For independent errors; a burst factor divides both.
    """
    share = min(times * allowed, (1 + allowed) / 2)
    if not 0 < allowed < share:
        return before
    hit, miss = math.log(share / allowed), math.log((1 - share) / (1 - allowed))
    mean = total * (share * hit + (1 - share) * miss)
    variance = total * share * (1 - share) * (hit - miss) ** 2
    return before[0] + mean, before[1] + variance
