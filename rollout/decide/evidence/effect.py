"""How large the difference is, and the rule that fails a candidate.

Evidence says that there is a difference; with enough requests it says so of one that nobody minds.  So a candidate
fails only if the difference matters, too: half the tolerance at least, in total or over the last minute, and seen in
two looks at least, because one crashed pod is not a verdict.  These conditions only take rejections away: alpha holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from rollout.decide.evidence.counts import NOTHING, Arms

RECENT: Final = 60.0
"""Seconds that count as now."""
LOOKS: Final = 2
"""Looks that must have seen the excess."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted over all looks, and lately."""

    total: Arms = NOTHING
    recent: tuple[tuple[float, Arms], ...] = ()
    """The last minute's looks, each with its end in seconds."""
    looks: int = 0
    """Looks with requests in both arms."""
    exceeded: int = 0
    """Looks whose own excess was the least effect or more."""

    @property
    def effect(self) -> float:
        """How much larger the canary's share of bad requests is, in total or lately, whichever is more."""
        lately = NOTHING
        for _, arms in self.recent:
            lately += arms
        return max(self.total.excess, lately.excess) if lately.comparable else self.total.excess


def least_effect(tolerance: float) -> float:
    """The difference that matters: half of what is tolerated (0.01 is one percentage point)."""
    return tolerance / 2


def tally(before: Tally, arms: Arms, at: float, *, least: float) -> Tally:
    """With one look more, which ended `at` seconds.  One that saw a single arm changes nothing: no verdict either."""
    if not arms.comparable:
        return before
    recent = tuple((when, look) for when, look in before.recent if at - RECENT < when)
    exceeded = before.exceeded + (arms.excess >= least)
    return Tally(before.total + arms, (*recent, (at, arms)), before.looks + 1, exceeded)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one gate says after a look, with all that its explanation needs."""

    failed: bool
    log_e: float
    """The evidence, ln E."""
    log_limit: float
    """The evidence that is needed, ln(gates / alpha)."""
    effect: float
    least: float
    """The effect that is needed."""
    exceeded: int
    """Looks that saw it."""
    looks: int
    """Of so many."""
    counts: Arms
    """All requests that were compared."""
    phi: float
    """The burst factor of the last look."""

    @property
    def strength(self) -> float:
        """E as in "130:1": what a bet of 1 on "worse" has grown to. Never the probability of a fault."""
        return odds(self.log_e)

    @property
    def limit(self) -> float:
        """The strength that is needed."""
        return odds(self.log_limit)

    @property
    def anytime_p(self) -> float:
        """The p-value that this look allows, valid at any look."""
        return min(1.0, math.exp(-max(self.log_e, 0.0)))


def judge(log_e: float, counted: Tally, *, alpha: float, gates: int, least: float, phi: float) -> Finding:
    """The rule: evidence of `gates`/`alpha` (the budget of a plan, divided over its gates), an effect, in two looks."""
    limit = log_limit(alpha, gates)
    failed = log_e >= limit and counted.effect >= least and counted.exceeded >= LOOKS
    return Finding(failed, log_e, limit, counted.effect, least, counted.exceeded, counted.looks, counted.total, phi)


def log_limit(alpha: float, gates: int) -> float:
    """ln E that one of so many gates needs, for all of them to fail a sound candidate with probability `alpha`."""
    return math.log(gates / alpha)


def odds(log_e: float) -> float:
    """E for people; beyond 1e300 nobody counts."""
    return math.exp(min(log_e, 690.0))
