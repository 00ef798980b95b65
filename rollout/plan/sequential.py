"""The gates of a program that judge by evidence, look after look, instead of by limits.

All times are seconds, all shares 0..1.  `planned` is how many looks the plan has for a gate: the evidence is spread
over so many moments at which a regression may begin.  `alpha` is the gate's part of the plan's budget: how likely it
may reject a sound candidate, over the whole run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Metric = Literal["success", "slow"]
Undecided = Literal["hold", "pass", "fail"]
GateFails = Literal["rollback", "hold", "promote"] | None
"""What the failure of a gate does; None: what its step says. `promote`: nothing stops, it is only said."""

MAX_HOLD: Final = 1800.0
BETA: Final = 0.05


@dataclass(frozen=True, slots=True)
class CompareGate:
    """Is the candidate worse than stable, which serves beside it?  On a built-in metric, from raw counts of both."""

    name: str
    metric: Metric
    every: float
    tolerance: float
    """How much larger the candidate's share of bad requests may be; 0.01 is one point."""
    planned: int
    alpha: float
    slower_than: float | None = None
    """For `slow`; None: the edge that one in a hundred of stable's requests is slower than."""
    min_requests: int = 50
    beta: float = BETA
    """How likely a candidate that is worse by the tolerance may be called proved."""
    on_inconclusive: Undecided = "hold"
    max_hold: float = MAX_HOLD
    observe_only: bool = False
    on_failure: GateFails = None
    kind: Literal["compare"] = "compare"


@dataclass(frozen=True, slots=True)
class SloGate:
    """Has the candidate more bad requests than an objective allows?  Needs no other version."""

    name: str
    metric: Metric
    every: float
    allowed: float
    """The share of bad requests that still passes."""
    planned: int
    alpha: float
    slower_than: float | None = None
    min_requests: int = 50
    beta: float = BETA
    on_inconclusive: Undecided = "hold"
    max_hold: float = MAX_HOLD
    observe_only: bool = False
    on_failure: GateFails = None
    kind: Literal["slo"] = "slo"


@dataclass(frozen=True, slots=True)
class TrafficGate:
    """Does the traffic divide as the weight says?  An alarm stops the run from going on, and never rolls it back."""

    name: str
    every: float
    tolerance: float
    """How much more or less of the requests than its weight the candidate may have; 0.25 is a quarter of it."""
    planned: int
    observe_only: bool = False
    kind: Literal["traffic"] = "traffic"


Sequential = CompareGate | SloGate | TrafficGate
"""A gate that judges by evidence."""
Judging = CompareGate | SloGate
"""One that can fail a candidate."""
