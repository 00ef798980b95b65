"""Many bets as one: alternatives side by side, each begun anew at every look (Shiryaev-Roberts).

Nobody knows how much worse a bad candidate is, nor since when.  So the stake of 1 is divided: evenly over the
alternatives, and over the looks at which a bet on a change may begin.  What has not been staked yet is kept, so

    E = mean over alternatives of (sum over begun bets) + (1 - spent)

is an e-process whenever each look's factors are.  Everything is kept as logarithms: weeks of looks or millions of
requests neither overflow nor vanish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mixture:
    """What the bets are worth after some looks.  All that a test must remember; finite numbers only."""

    logs: tuple[float, ...] = ()
    """For each alternative ln of the worth of its begun bets; empty before the first of them."""
    spent: float = 0.0
    """Share of the stake that was bet."""
    looks: int = 0
    """Looks that spoke."""

    @property
    def log_e(self) -> float:
        """The evidence, ln E; 0 before the first look."""
        if not self.logs:
            return 0.0
        begun, kept = log_mean(self.logs), 1.0 - self.spent
        return log_add(begun, math.log(kept)) if kept > 0 else begun


UNSTARTED: Final = Mixture()
"""Before the first look."""


def advance(before: Mixture, factors: Sequence[float], stake: float) -> Mixture:
    """Begin bets of `stake` (what is left at most), then multiply all by this look's factors, given as logarithms."""
    stake = min(stake, 1.0 - before.spent)
    logs = before.logs
    if not logs and stake <= 0:
        return before
    if stake > 0:
        entering = math.log(stake)
        logs = tuple([log_add(log, entering) for log in logs]) if logs else (entering,) * len(factors)
    after = tuple([log + factor for log, factor in zip(logs, factors, strict=True)])
    return Mixture(after, before.spent + max(stake, 0.0), before.looks + 1)


def change_point(looks: int, planned: int) -> float:
    """The stake of the look after `looks` others: half at the first, half evenly over the planned ones, then none."""
    if looks >= planned:
        return 0.0
    return 0.5 / planned + (0.5 if looks == 0 else 0.0)


def from_the_start(looks: int) -> float:
    """The stake of a proof: all of it at the first look, because it is about everything since then."""
    return 1.0 if looks == 0 else 0.0


def log_add(a: float, b: float) -> float:
    """ln(exp(a) + exp(b)) without overflow."""
    return (a if a > b else b) + math.log1p(math.exp(-abs(a - b)))


def log_mean(logs: Sequence[float]) -> float:
    """ln of the mean of exp(x), without overflow, and the same in any order."""
    top = max(logs)
    return top + math.log(math.fsum(math.exp(log - top) for log in logs) / len(logs))
