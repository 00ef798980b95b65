"""The gates of a program that judge look by look, by limits, and what all gates of a program are.

All times are seconds, all shares 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, assert_never

from pydantic import Discriminator

from rollout.plan.gate import Provider
from rollout.plan.sequential import CompareGate, GateFails, SloGate, TrafficGate


@dataclass(frozen=True, slots=True)
class UnitName:
    """A workload of the run's namespace, as people write it: `Deployment/web`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class CountGate:
    """A threshold on a built-in metric: shares of raw request counts of the candidate."""

    name: str
    metric: Literal["success", "slow"]
    every: float
    failures: int
    over: int
    min: float | None = None
    max: float | None = None
    min_requests: int = 20
    slower_than: float | None = None
    on_no_data: Literal["hold", "pass", "fail"] = "hold"
    observe_only: bool = False
    on_inconclusive: Literal["pass", "fail"] | None = None
    """What it means when no look could be judged for `max_hold` seconds after the step's hold; None: it waits."""
    max_hold: float | None = None
    on_failure: GateFails = None
    kind: Literal["count"] = "count"


@dataclass(frozen=True, slots=True)
class QueryGate:
    """A threshold on any PromQL scalar. `query` is complete but for `${before}`, a duration that each look has its own
    value for: see `decide.gates.reaching`."""

    name: str
    query: str
    every: float
    failures: int
    over: int
    min: float | None = None
    max: float | None = None
    unit: str = ""
    provider: Provider | None = None
    on_no_data: Literal["hold", "pass", "fail"] = "hold"
    observe_only: bool = False
    on_inconclusive: Literal["pass", "fail"] | None = None
    """What it means when no look could be judged for `max_hold` seconds after the step's hold; None: it waits."""
    max_hold: float | None = None
    on_failure: GateFails = None
    back: float = 0.0
    """Seconds that `${before}` goes back while looks come on time; 0 for a query that compares with no past."""
    stable_query: str | None = None
    """The same question about stable: `min` and `max` are factors of its answer."""
    kind: Literal["query"] = "query"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number of a condition, as it is asked for."""

    query: str
    unit: str = ""
    provider: Provider | None = None
    of: Literal["stable"] | None = None
    """Whose number it is, where it is not the candidate's."""


@dataclass(frozen=True, slots=True)
class ConditionGate:
    """A condition over several PromQL scalars (`plan.expression`), true of each look that passes."""

    name: str
    condition: str
    metrics: Mapping[str, Scalar]
    every: float
    failures: int
    over: int
    min: None = None
    max: None = None
    on_no_data: Literal["hold", "pass", "fail"] = "hold"
    observe_only: bool = False
    on_inconclusive: Literal["pass", "fail"] | None = None
    max_hold: float | None = None
    on_failure: GateFails = None
    kind: Literal["condition"] = "condition"


@dataclass(frozen=True, slots=True)
class ReadyGate:
    """Nobody is known who would be cut off by STRICT. As long as somebody is, the step waits and names them."""

    name: str
    units: tuple[UnitName, ...]
    window: float
    """Seconds of traffic that are looked at."""
    every: float
    excused: tuple[UnitName, ...] = ()
    """Callers that the plan excepts, with a reason: cutting them off is meant."""
    left_open: tuple[UnitName, ...] = ()
    """Units with ports that the plan excepts: who sends them plaintext is for a counter that tells ports apart."""
    failures: int = 1
    over: int = 1
    min: float | None = None
    max: float | None = 0.0
    unit: str = "blockers"
    on_no_data: Literal["hold"] = "hold"
    observe_only: bool = False
    on_inconclusive: None = None
    max_hold: None = None
    on_failure: None = None
    kind: Literal["ready"] = "ready"


Limits = CountGate | QueryGate | ConditionGate | ReadyGate
"""A gate that judges each look for itself."""
Gate = Annotated[
    CountGate | QueryGate | ConditionGate | ReadyGate | CompareGate | SloGate | TrafficGate, Discriminator("kind")
]


def compares(gate: Gate) -> bool:
    """Whether a gate that judges look by look asks about stable as well, and tells nothing where that is silent."""
    match gate:
        case QueryGate():
            return gate.stable_query is not None
        case ConditionGate():
            return any(it.of is not None for it in gate.metrics.values())
        case _:
            return False


def beyond_plain(gate: Gate) -> bool:
    """Whether an engine of format `PLAIN` would leave something of a gate out, or not know it."""
    match gate:
        case QueryGate() if gate.back or gate.stable_query is not None:  # it looks back further when late, or compares
            return True
        case ConditionGate():
            return True
        case CountGate() | QueryGate() | ReadyGate():
            return bool(gate.on_failure or gate.on_inconclusive)
        case CompareGate() | SloGate():
            return gate.on_failure is not None
        case TrafficGate():
            return False
        case _:
            assert_never(gate)
