"""Numbers of bad requests by chance: exact tables, drawn from with one uniform number each.

Independent requests are binomial.  In bursts, clusters come by Poisson's law and hold a geometric number of errors with
mean m (Pólya-Aeppli); the Fano factor is then 2 m - 1.  The generator comes from outside: this package knows no chance.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

NEGLIGIBLE: Final = 1e-18
"""Where a table ends: so much less likely than the likeliest number."""


class Uniform(Protocol):
    """A source of uniform numbers: a seeded `random.Random`, for example."""

    def random(self) -> float:
        """The next number, in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """A distribution of whole numbers, from `first` on."""

    first: int
    cumulative: tuple[float, ...]

    def draw(self, uniform: Uniform) -> int:
        """One number."""
        return self.first + bisect_right(self.cumulative, uniform.random())


def table(total: int, share: float, burst: float = 1.0) -> Table:
    """How many of `total` requests are bad, each with probability `share`, in clusters of mean size `burst`."""
    if total == 0 or share <= 0:
        return Table(0, (1.0,))
    if share >= 1:
        return Table(total, (1.0,))
    first, chances = _binomial(total, share) if burst <= 1 else _bursts(total, share, burst)
    return _normal(first, chances)


def poisson(mean: float) -> Table:
    """How many come of what comes by itself."""
    if mean <= 0:
        return Table(0, (1.0,))
    first, chances = _outwards(int(mean), lambda k: mean / (k + 1))
    return _normal(first, chances)


def _normal(first: int, chances: list[float]) -> Table:
    """From chances in any unit. The last entry ends at 1, whatever rounding makes of the sum."""
    whole = math.fsum(chances)
    return Table(first, (*accumulate(chance / whole for chance in chances[:-1]), 1.0))


def _binomial(total: int, share: float) -> tuple[int, list[float]]:
    odds = share / (1 - share)
    return _outwards(min(int((total + 1) * share), total), lambda k: (total - k) / (k + 1) * odds)


def _outwards(mode: int, ratio: Callable[[int], float]) -> tuple[int, list[float]]:
    """Chances relative to the likeliest number, outwards from it. `ratio`: how much likelier k + 1 is than k."""
    upper, chance, k = [1.0], 1.0, mode
    while (chance := chance * ratio(k)) > NEGLIGIBLE:
        upper.append(chance)
        k += 1
    lower, chance, k = [], 1.0, mode
    while k > 0 and (chance := chance / ratio(k - 1)) > NEGLIGIBLE:
        lower.append(chance)
        k -= 1
    return k, lower[::-1] + upper


def _bursts(total: int, share: float, mean: float) -> tuple[int, list[float]]:
    """Panjer's recursion for a Poisson number of geometric clusters, cut off at `total`."""
    clusters, stay = total * share / mean, 1 - 1 / mean
    chances, top = [1.0, clusters * (1 - stay)], 1.0
    for n in range(2, total + 1):
        step = (clusters * (1 - stay) + 2 * stay * (n - 1)) * chances[-1] - stay * stay * (n - 2) * chances[-2]
        chances.append(max(step / n, 0.0))
        top = max(top, chances[-1])
        if chances[-1] < NEGLIGIBLE * top and n > total * share:
            break
        if top > 1e200:
            chances, top = [chance * 1e-200 for chance in chances], top * 1e-200
    return 0, chances[: total + 1]


class Tables:
    """Tables that were needed before."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, float, float], Table] = {}

    def of(self, total: int, share: float, burst: float) -> Table:
        """As `table`, computed once."""
        key = (total, share, burst)
        if key not in self._known:
            self._known[key] = table(*key)
        return self._known[key]
