"""Does the traffic divide as the weight says?  The gate `traffic`: a sequential check of the sample ratio.

Of all requests those of the canary are binomial with about the weight as share.  `tolerance` allows for pooled and
long-lived connections; two mixtures bet on more than weight * (1 + tolerance) and on less than
weight * (1 - tolerance).
An alarm says that routing is not effective.  It says nothing about the version: it pauses and never rolls back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.mixture import UNSTARTED, Mixture, advance, change_point
from rollout.decide.evidence.objective import FRACTIONS
from rollout.decide.evidence.ratio import RATIOS, binomial_factors

LIMIT: Final = math.log(2000)
"""ln E that raises an alarm: two sides, so a sound split is called unsound with probability 0.001 at most."""


@dataclass(frozen=True, slots=True)
class Split:
    """Evidence for too much and for too little traffic at the canary."""

    more: Mixture = UNSTARTED
    less: Mixture = UNSTARTED

    @property
    def log_e(self) -> float:
        """The stronger one, ln E."""
        return max(self.more.log_e, self.less.log_e)


def divide(before: Split, arms: Arms, *, weight: float, planned: int, tolerance: float = 0.25) -> Split:
    """One look more at a weight between 0 and 1.  Skip the look after a change of weight: it saw both."""
    total = arms.canary_total + arms.primary_total
    if total <= 0 or not 0 < weight <= 1:
        return before
    stake = change_point(before.more.looks, planned)
    high, low = min(1.0, weight * (1 + tolerance)), max(0.0, weight * (1 - tolerance))
    return Split(
        advance(before.more, binomial_factors(arms.canary_total, total, high, RATIOS, 1.0), stake),
        advance(before.less, binomial_factors(arms.canary_total, total, low, FRACTIONS, 1.0), stake),
    )


def alarm(split: Split) -> Literal["more", "less"] | None:
    """Which way the split is off, once that is sure."""
    if split.log_e < LIMIT:
        return None
    return "more" if split.more.log_e >= split.less.log_e else "less"
