"""Worse by a margin, or provably not: e-values against half-planes of (p_primary, p_canary).

Null "at least so much worse", p_canary >= limit * p_primary + margin: rejecting it *proves* the candidate safe.  Null
"at most so much worse": rejecting it is the strict fail test, the sharper one where bad requests are common.

The bet is on a point (a_c, a_p) chosen before the look.  Against its projection (y, x) on the boundary line
y = limit x + margin, the one that minimises n_c KL(a_c, y) + n_p KL(a_p, x), the likelihood ratio is an e-value for all
of the null: the log-expectation is concave there, and its gradient at the projection is minus that of the divergence
(Turner, Ly and Grünwald 2021; Turner and Grünwald 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.mixture import UNSTARTED, Mixture, advance, change_point

REMEMBERED: Final = 2000.0
"""Requests that history counts for at most."""
INCREASES: Final = (0.01, 0.02, 0.04, 0.08, 0.16)
"""By how much the canary's share is larger, in the alternatives of the strict test."""

Coefficients = tuple[float, float, float, float]
"""What a bad and a good request of the canary, a bad and a good one of the primary add to ln E of a bet."""
NO_BET: Final[Coefficients] = (0.0, 0.0, 0.0, 0.0)
"""On a point that the null allows there is nothing to win."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the next look's alternative is drawn from.  It begins as a weak guess, or better with `history`."""

    total: float = 200.0
    bad: float = 0.5

    @property
    def share(self) -> float:
        """Between 0 and 1, and neither of them."""
        return min(self.bad / self.total, 1 - 0.5 / self.total)

    def after(self, total: float, bad: float) -> Past:
        """With one look's requests."""
        return Past(self.total + total, self.bad + bad)


GUESS: Final = Past()
"""Without history."""


def history(total: float, bad: float) -> Past:
    """What is known from before the run: the service's share of bad requests, soon outweighed by the run's own."""
    weight = min(1.0, REMEMBERED / total) if total > 0 else 0.0
    return GUESS.after(total * weight, bad * weight)


@dataclass(frozen=True, slots=True)
class Proof:
    """How strongly all looks together say that the canary is less than a margin worse: ln E, the evidence."""

    log_e: float = 0.0
    past: Past = GUESS


@dataclass(frozen=True, slots=True)
class Exceeding:
    """How strongly they say that it is more than a margin worse."""

    mixture: Mixture = UNSTARTED
    past: Past = GUESS

    @property
    def log_e(self) -> float:
        """The evidence, ln E."""
        return self.mixture.log_e


def prove(before: Proof, arms: Arms, *, margin: float, limit: float = 1.0, phi: float = 1.0) -> Proof:
    """One look more.  The bet: both arms are as they were together in the past; their difference is proved small."""
    if not arms.comparable:
        return before
    share = before.past.share
    gain = log_factor(arms, share, share, margin=margin, limit=limit, phi=phi)
    total, bad = arms.canary_total + arms.primary_total, arms.canary_bad + arms.primary_bad
    return Proof(before.log_e + gain, before.past.after(total, bad))


def proved(log_e: float, beta: float) -> bool:
    """Is the candidate safe, where one that is worse by the margin is called so with probability `beta` at most?"""
    return log_e >= -math.log(beta)


def exceed(
    before: Exceeding, arms: Arms, *, planned: int, margin: float = 0.0, limit: float = 1.0, phi: float = 1.0
) -> Exceeding:
    """One look more of evidence that the canary is worse by more than the margin.  The primary's past is the base."""
    if not arms.comparable:
        return before
    logs = [log / phi for log in factors(arms, before.past, margin=margin, limit=limit)]
    mixture = advance(before.mixture, logs, change_point(before.mixture.looks, planned))
    return Exceeding(mixture, before.past.after(arms.primary_total, arms.primary_bad))


def factors(arms: Arms, past: Past, *, margin: float = 0.0, limit: float = 1.0) -> list[float]:
    """ln of each alternative's factor at one look, undivided; `past`: the primary's, the base."""
    points = alternatives(arms.canary_total, arms.primary_total, past.share, margin=margin, limit=limit)
    return [weigh(point, arms) for point in points]


def alternatives(
    canary_total: float, primary_total: float, base: float, *, margin: float, limit: float = 1.0
) -> tuple[Coefficients, ...]:
    """The bets of the strict test at one look, for a primary whose share of bad requests is `base`."""
    points = [min(base + increase, (1 + base) / 2) for increase in INCREASES]
    return tuple(
        coefficients(canary_total, primary_total, point, base, margin=margin, limit=limit)
        if point > limit * base + margin
        else NO_BET
        for point in points
    )


def log_factor(
    arms: Arms, canary: float, primary: float, *, margin: float, limit: float = 1.0, phi: float = 1.0
) -> float:
    """ln of one look's likelihood ratio of the point (canary, primary) to its projection on the boundary, over phi."""
    point = coefficients(arms.canary_total, arms.primary_total, canary, primary, margin=margin, limit=limit)
    return weigh(point, arms) / phi


def weigh(point: Coefficients, arms: Arms) -> float:
    """What a look adds to ln E of a bet."""
    a, b, c, d = point
    canary_good, primary_good = arms.canary_total - arms.canary_bad, arms.primary_total - arms.primary_bad
    return arms.canary_bad * a + canary_good * b + arms.primary_bad * c + primary_good * d


def coefficients(
    canary_total: float, primary_total: float, canary: float, primary: float, *, margin: float, limit: float = 1.0
) -> Coefficients:
    """The bet on a point (canary, primary) at a look of so many requests."""
    x = projection(canary_total, primary_total, canary, primary, margin=margin, limit=limit)
    y = limit * x + margin
    return (
        math.log(canary / y),
        math.log((1 - canary) / (1 - y)),
        math.log(primary / x),
        math.log((1 - primary) / (1 - x)),
    )


def projection(
    canary_total: float, primary_total: float, canary: float, primary: float, *, margin: float, limit: float = 1.0
) -> float:
    """The primary's share x at the nearest point of the boundary: the root of an increasing function, by bisection."""
    low, high = max(0.0, -margin / limit), min(1.0, (1 - margin) / limit)
    while True:
        x = (low + high) / 2
        if not low < x < high:
            return x
        y = limit * x + margin
        if not 0 < y < 1:  # rounding at the very end of the line
            return x
        slope = primary_total * (x - primary) / (x * (1 - x))
        slope += limit * canary_total * (y - canary) / (y * (1 - y))
        if slope > 0:
            high = x
        else:
            low = x
