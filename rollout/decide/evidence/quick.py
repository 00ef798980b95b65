"""The bets of one look without logarithms, and remembered: what `trials` is fast by.

The same numbers as `ratio`, `inferiority.exceed` and `inferiority.prove` give, for looks whose requests are known
beforehand, at a few burst factors side by side, as `tempered`.  Limits keep them in range: a trial is over long before
evidence gets so strong or so weak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from rollout.decide.evidence.inferiority import (
    INCREASES,
    Coefficients,
    Past,
    alternatives,
    coefficients,
)
from rollout.decide.evidence.ratio import RATIOS
from rollout.decide.evidence.traffic import Counted, Expected

_LOGS: Final = tuple(math.log(rho) for rho in RATIOS)
_KNOWN: Final = 4096
"""Factors remembered for a look."""
_LARGEST: Final = 300.0
"""ln of the largest factor, and half of that of the largest number."""
WORTH: Final = math.exp(_LARGEST)
"""What bets are worth at most."""


class Bets(Protocol):
    """What one look does to the bets on a worse canary."""

    count: int
    """Alternatives, at all burst factors together."""

    def factors(self, bad: Counted, before: int) -> list[float]:
        """What each is multiplied by, where the primary had `before` bad requests in the looks before.

        All alternatives at the first burst factor, then all at the next.
        """
        ...


class RatioBets:
    """For bad requests that are rare."""

    def __init__(self, look: Expected, phis: Sequence[float]) -> None:
        self.count, self._phis = len(RATIOS) * len(phis), phis
        theta = look.canary / (look.canary + look.primary)
        self._log_d = [math.log1p(theta * (rho - 1)) for rho in RATIOS]
        self._known: dict[tuple[int, int], list[float]] = {}

    def factors(self, bad: Counted, before: int) -> list[float]:
        """As `ratio.factors`, which needs no past."""
        key = bad.canary, bad.primary
        found = self._known.get(key)
        if found is None:
            both = bad.canary + bad.primary
            gains = [bad.canary * a - both * b for a, b in zip(_LOGS, self._log_d, strict=True)]
            found = [_limited(gain / phi) for phi in self._phis for gain in gains]
            if len(self._known) < _KNOWN:
                self._known[key] = found
        return found


class MarginBets:
    """For bad requests that are common. `past`: what is known of the primary before this look's run, and its looks."""

    def __init__(self, look: Expected, past: Past, phis: Sequence[float]) -> None:
        self.count, self._phis = len(INCREASES) * len(phis), phis
        self._look, self._past = look, past
        self._known: dict[int, tuple[Coefficients, ...]] = {}

    def factors(self, bad: Counted, before: int) -> list[float]:
        """As `inferiority.exceed`."""
        points = self._known.get(before)
        if points is None:
            base = self._past.after(0, before).share
            points = self._known[before] = alternatives(self._look.canary, self._look.primary, base, margin=0.0)
        gains = [_gain(point, self._look, bad) for point in points]
        return [_limited(gain / phi) for phi in self._phis for gain in gains]


class ProofBet:
    """That the canary is less than the margin worse. `past`: as above, of both arms."""

    def __init__(self, look: Expected, past: Past, margin: float) -> None:
        self._look, self._past, self._margin = look, past, margin
        self._known: dict[int, Coefficients] = {}

    def gain(self, bad: Counted, before: int) -> float:
        """What it adds to ln E at phi = 1, where both arms had `before` bad requests in the looks before."""
        point = self._known.get(before)
        if point is None:
            share = self._past.after(0, before).share
            point = coefficients(self._look.canary, self._look.primary, share, share, margin=self._margin)
            self._known[before] = point
        return _gain(point, self._look, bad)


def _gain(point: Coefficients, look: Expected, bad: Counted) -> float:
    a, b, c, d = point
    return bad.canary * a + (look.canary - bad.canary) * b + bad.primary * c + (look.primary - bad.primary) * d


def _limited(gain: float) -> float:
    return math.exp(min(max(gain, -_LARGEST), _LARGEST))
