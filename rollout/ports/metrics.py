"""The metrics: raw counters, scalars and vectors.  No data, an outage and bad data are three different answers.

One call per look for all gates of all runs, so that adapters can batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rollout.plan.gate import MetricLabels, Provider


@dataclass(frozen=True, slots=True)
class CountAsk:
    """Raw cumulative counters of one workload, by pod.

    `success` counts requests and those answered 5xx; `slow` counts requests and those slower than `slower_than`
    seconds, at the next histogram edge at or above it; without `slower_than`, those up to each edge (`within`).
    """

    metric: Literal["success", "slow"]
    namespace: str
    workload: str
    slower_than: float | None = None
    labels: MetricLabels = field(default_factory=MetricLabels)
    provider: Provider | None = None
    provider_namespace: str = ""
    """Where the provider's Secrets are."""


@dataclass(frozen=True, slots=True)
class ScalarAsk:
    """One number. `query` is complete PromQL."""

    query: str
    provider: Provider | None = None
    provider_namespace: str = ""


@dataclass(frozen=True, slots=True)
class VectorAsk:
    """Many numbers, told apart by their labels. `query` is complete PromQL."""

    query: str
    provider: Provider | None = None
    provider_namespace: str = ""


@dataclass(frozen=True, slots=True)
class PastAsk:
    """What the counters of one workload were: a range query, for the start of a run and for people, never for a look.

    `of` has a `slower_than` where it asks for `slow`.
    """

    of: CountAsk
    start: float
    end: float
    """From when to when, seconds since the epoch."""
    step: float = 15.0
    """Seconds between two values."""

    @property
    def provider(self) -> Provider | None:
        """Where to ask."""
        return self.of.provider

    @property
    def provider_namespace(self) -> str:
        """Where the provider's Secrets are."""
        return self.of.provider_namespace


Ask = CountAsk | ScalarAsk | VectorAsk | PastAsk

Track = tuple[tuple[float, float, float], ...]
"""One pod's counters over time: seconds since the epoch, requests, bad requests; cumulative, oldest first."""


@dataclass(frozen=True, slots=True)
class Series:
    """One number of several."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer to one ask.

    `value`: a number, counters by pod, now or over time, or series.  `no-data`: the query answered, and there is
    nothing, or NaN.
    `stale`: the newest sample is older than it should be.  `many`: several series where one number was asked for.
    `unknown`: outage, timeout, error; `detail` says which, without secrets.
    """

    status: Literal["value", "no-data", "stale", "many", "unknown"]
    query: str
    value: float | None = None
    pods: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By pod: requests and bad requests, cumulative."""
    series: tuple[Series, ...] = ()
    """For a `VectorAsk`: never empty with `value`, and only finite numbers."""
    detail: str = ""
    edge: float | None = None
    """For `slow`: the histogram edge that was used, seconds."""
    past: Mapping[str, Track] = field(default_factory=dict)
    """For a `PastAsk`, by pod; never empty with `value`."""
    within: Mapping[float, float] = field(default_factory=dict)
    """For `slow` without a bound: how many of all requests were at most as slow as each edge, seconds."""


class Metrics(Protocol):
    """Somebody who answers metric questions."""

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        """Answer all; never raises for an outage: that is a reading of its own (`unknown`)."""
        ...
