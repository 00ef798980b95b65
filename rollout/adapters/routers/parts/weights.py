"""Weights as meshes count them: integers in proportion, whose sum need not be 100.

Percents are handled in units of 0.01 %, so that splitting a share and reading the split back are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Final

from rollout.plan.base import Json

WHOLE: Final = 10_000
"""Units in 100 %."""
LARGEST: Final = 2**31 - 1
"""The greatest sum that fits in 32 bits, in which data planes add weights up."""


def units(percent: float) -> int:
    """Percent in units of 0.01 %; what is neither nothing nor all never rounds to it.

    Raises:
        ValueError: not within 0..100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"a weight is between 0 and 100, not {percent}")
    if percent in (0, 100):
        return int(percent) * 100
    return min(max(round(percent * 100), 1), WHOLE - 1)


def given(entries: Sequence[Json]) -> list[int]:
    """The weights of a route's destinations; a lone one without weight gets everything."""
    found = [int(entry.get("weight") or 0) for entry in entries]
    return found if any(found) else [1] * len(found)


def tidy(weights: Sequence[int], limit: int = LARGEST) -> list[int]:
    """The same proportions in small numbers: of a sum of 100 where that is exact, and never above the limit.

    >>> tidy([720000, 80000, 200000]), tidy([6667, 3333]), tidy([10000, 0])
    ([72, 8, 20], [6667, 3333], [100, 0])
    """
    common = gcd(*weights)
    if common == 0:
        return list(weights)
    small = [weight // common for weight in weights]
    total = sum(small)
    if 100 % total == 0:
        return [weight * 100 // total for weight in small]
    if total > limit:
        shrink = -(-total // (limit - len(small)))
        return [max(1, weight // shrink) if weight else 0 for weight in small]
    return small
