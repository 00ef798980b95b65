"""What became of the simulated requests, as somebody who sees everything would write it down."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rollout.adapters.memory.mesh import Cause


@dataclass(frozen=True, slots=True)
class Failure:
    """Requests that failed together."""

    at: float
    host: str
    cause: Cause
    workload: str
    count: int
    source: str = ""
    """Who called: `shop/front`."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Requests that reached a canary pod through the plain Service: its share was nobody's decision.

    Once the Deployment itself runs that version behind the same Service, it is none.
    """

    at: float
    host: str
    workload: str
    count: int


@dataclass(slots=True)
class Ledger:
    """What became of the requests."""

    requests: int = 0
    by_workload: Counter[str] = field(default_factory=Counter)
    """Requests that reached a pod of the workload."""
    copies: Counter[str] = field(default_factory=Counter)
    """Copies of requests that reached a pod of the workload."""
    by_source: Counter[str] = field(default_factory=Counter)
    """Requests that were sent, by who sent them."""
    failures: list[Failure] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Requests that did not get an answer below 500."""
        return sum(failure.count for failure in self.failures)

    @property
    def dropped(self) -> int:
        """Requests that no application answered: our fault, if anybody's."""
        return sum(failure.count for failure in self.failures if failure.cause is not Cause.ANSWERED_5XX)

    def failed_by(self, workload: str) -> int:
        """Requests that this workload answered 5xx."""
        return sum(f.count for f in self.failures if f.workload == workload and f.cause is Cause.ANSWERED_5XX)

    def failed_from(self, source: str, *causes: Cause) -> int:
        """Requests of a caller (`shop/front`) that failed, for these causes or for any."""
        return sum(f.count for f in self.failures if f.source == source and (not causes or f.cause in causes))

    def share(self, workload: str) -> float:
        """The part of all answered requests that reached the workload, 0..1."""
        total = self.by_workload.total()
        return self.by_workload[workload] / total if total else 0.0
