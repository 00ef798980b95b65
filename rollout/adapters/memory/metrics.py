"""The port `Metrics` on the counters of the simulated traffic, with every way in which metrics fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from rollout.adapters.memory.objects import Objects
from rollout.adapters.memory.traffic import PodCounters, Traffic
from rollout.plan.kinds import POD, Ref
from rollout.ports.metrics import Ask, CountAsk, Reading, ScalarAsk, Series, VectorAsk

EDGES: Final = (0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Histogram edges of Istio's request duration, seconds."""

LINGER: Final = 30.0
"""Until a target that is gone takes its series with it: two intervals in which nobody has scraped it."""

Fault = Literal["outage", "no-data", "stale", "many"]


class MemoryMetrics:
    """Answers from the traffic's counters; `fault` makes all answers fail in one way until it is None again."""

    def __init__(self, objects: Objects, traffic: Traffic) -> None:
        self.fault: Fault | None = None
        self.linger = LINGER
        """Seconds for which the series of a pod that is gone are still answered."""
        self.asked = 0
        """Questions so far: an idle controller asks none."""
        self._objects = objects
        self._traffic = traffic
        self._scalars: dict[str, Callable[[], float | None]] = {}
        self._vectors: dict[str, tuple[Series, ...]] = {}
        self._gone: dict[str, float] = {}
        objects.watchers.append(self._notice)

    def _notice(self, ref: Ref) -> None:
        if ref.kind == POD and self._objects.get(ref) is None:
            self._gone[ref.name] = self._objects.now()

    def set_scalar(self, query: str, value: float | Callable[[], float | None] | None) -> None:
        """What a query answers: a number, a function that is asked each time, or None for no data."""
        self._scalars[query] = value if callable(value) else lambda: value

    def set_vector(self, query: str, series: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """What a query answers with several series: their labels and values; none at all for no data."""
        self._vectors[query] = tuple(Series(labels, value) for labels, value in series)

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        """See `ports.metrics.Metrics.ask`."""
        self.asked += len(asks)
        return {ask: self._broken(ask) or self._answer(ask) for ask in asks}

    def _broken(self, ask: Ask) -> Reading | None:
        query = query_of(ask)
        match self.fault:
            case None:
                return None
            case "outage":
                return Reading("unknown", query, detail="connection refused")
            case "many":
                if isinstance(ask, VectorAsk):
                    return None  # several are what was asked for
                return Reading("many", query, detail="2 series where one number was asked for")
            case "stale":
                return Reading("stale", query, detail="the newest sample is 5m old")
            case "no-data":
                return Reading("no-data", query)

    def _answer(self, ask: Ask) -> Reading:
        match ask:
            case ScalarAsk():
                return self._scalar(ask)
            case VectorAsk():
                return self._vector(ask)
            case CountAsk():
                return self._counts(ask)

    def _vector(self, ask: VectorAsk) -> Reading:
        series = tuple(one for one in self._vectors.get(ask.query, ()) if math.isfinite(one.value))
        return Reading("value" if series else "no-data", ask.query, series=series)

    def _scalar(self, ask: ScalarAsk) -> Reading:
        source = self._scalars.get(ask.query)
        value = source() if source is not None else None
        if value is None or math.isnan(value):
            return Reading("no-data", ask.query)
        return Reading("value", ask.query, value=value)

    def _counts(self, ask: CountAsk) -> Reading:
        slow = ask.metric == "slow"
        edge = edge_for(ask.slower_than) if ask.slower_than is not None else None
        since = self._objects.now() - self.linger
        found = {
            name: c
            for name, c in self._traffic.pods.items()
            if (c.namespace, c.workload) == (ask.namespace, ask.workload) and self._gone.get(name, since) >= since
        }
        pods = {name: (float(c.requests), float(_bad(c, ask.metric, edge))) for name, c in found.items()}
        within = {
            at: float(sum(c.requests - c.slower_than(at) for c in found.values()))
            for at in (EDGES if slow and edge is None else ())
        }
        return Reading("value" if pods else "no-data", query_of(ask), pods=pods, edge=edge, within=within)


def _bad(counters: PodCounters, metric: str, edge: float | None) -> int:
    if metric == "success":
        return counters.errors
    return 0 if edge is None else counters.slower_than(edge)


def edge_for(slower_than: float) -> float:
    """The next histogram edge at or above a latency, seconds."""
    return next((edge for edge in EDGES if edge >= slower_than), EDGES[-1])


def query_of(ask: Ask) -> str:
    """The question in words, for messages."""
    if not isinstance(ask, CountAsk):
        return ask.query
    slow = f", slower than {ask.slower_than}s" if ask.slower_than is not None else ""
    return f"{ask.metric} of {ask.namespace}/{ask.workload} by pod{slow}"
