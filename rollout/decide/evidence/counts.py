"""What one look saw: requests and bad requests of both arms."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rollout.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Arms:
    """Counts of canary and primary over the same time.  Bad is what the gate counts: 5xx, or slower than an edge.

    Counts may be fractions, for those who have only `increase()`.  Raises InvalidInput when they contradict each other.
    """

    canary_total: float = 0.0
    canary_bad: float = 0.0
    primary_total: float = 0.0
    primary_bad: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.canary_bad <= self.canary_total < math.inf):
            raise _contradiction("canary", self.canary_bad, self.canary_total)
        if not (0 <= self.primary_bad <= self.primary_total < math.inf):
            raise _contradiction("primary", self.primary_bad, self.primary_total)

    def __add__(self, other: Arms) -> Arms:
        """Both looks together."""
        return Arms(
            self.canary_total + other.canary_total,
            self.canary_bad + other.canary_bad,
            self.primary_total + other.primary_total,
            self.primary_bad + other.primary_bad,
        )

    @property
    def comparable(self) -> bool:
        """Both arms had requests; a look at one arm alone is no evidence about the other."""
        return self.canary_total > 0 and self.primary_total > 0

    @property
    def canary_share(self) -> float:
        """Share of bad requests of the canary; 0 without requests."""
        return self.canary_bad / self.canary_total if self.canary_total else 0.0

    @property
    def primary_share(self) -> float:
        """Share of bad requests of the primary; 0 without requests."""
        return self.primary_bad / self.primary_total if self.primary_total else 0.0

    @property
    def excess(self) -> float:
        """How much larger the canary's share is, 0.01 for one percentage point; 0 where they cannot be compared."""
        return self.canary_share - self.primary_share if self.comparable else 0.0


NOTHING = Arms()
"""Before the first look."""


def _contradiction(arm: str, bad: float, total: float) -> InvalidInput:
    return InvalidInput(
        f"{bad:g} bad of {total:g} requests", where=arm, hint="counts are finite, and bad ones are among all of them"
    )
