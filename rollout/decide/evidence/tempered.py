"""The same bets at several burst factors side by side: evidence that can be divided afterwards.

How bursty errors are is known late, and what divides evidence must hold for all of it.  A mixture cannot be divided
once its bets are summed up; so one is kept for each of a few factors, and between two of them ln E is interpolated in
1/phi, in which a single bet's is a straight line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from rollout.decide.evidence.mixture import UNSTARTED, Mixture, advance

FACTORS: Final[tuple[float, ...]] = (1.0, 1.5, 2.5, 4.0, 7.0, 12.0, 20.0, 40.0, 80.0, 200.0)
"""The burst factors that a mixture is kept for."""

Tempered = tuple[Mixture, ...]
"""A mixture for each of them."""
FRESH: Final[Tempered] = (UNSTARTED,) * len(FACTORS)
"""Before the first look."""


def temper(before: Tempered, factors: Sequence[float], stake: float) -> Tempered:
    """With one look more: its factors, given as logarithms and undivided, and the stake of the bets that it begins."""
    return tuple(
        advance(mixture, [factor / phi for factor in factors], stake)
        for mixture, phi in zip(before, FACTORS, strict=True)
    )


def log_e(mixtures: Tempered, phi: float) -> float:
    """The evidence at a burst factor, ln E; 0 before the first look."""
    place, part = between(phi)
    return part * mixtures[place].log_e + (1 - part) * mixtures[place + 1].log_e


def between(phi: float) -> tuple[int, float]:
    """The place of the next smaller kept factor, and its part in 1/phi; the rest is that of the next larger one."""
    place = min(bisect_right(FACTORS, phi) - 1, len(FACTORS) - 2)
    low, high = 1 / FACTORS[place], 1 / FACTORS[place + 1]
    return place, (1 / phi - high) / (low - high)
