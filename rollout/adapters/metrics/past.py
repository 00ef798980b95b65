"""Counters over time: range queries, each of at most as many points as a Prometheus gives at once.

All that is asked of one workload over one stretch of time goes into one query: a week in steps of 15 s is four of
them, however many gates ask.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.adapters.metrics import counts, promql
from rollout.adapters.metrics.promql import PART
from rollout.adapters.metrics.server import QueryError, RangeSeries
from rollout.ports.metrics import PastAsk, Reading, Track

POINTS: Final = 11_000
"""Values of a series that Prometheus gives at once, at most."""

Ranges = Callable[[str, float, float, float], Awaitable[list[RangeSeries]]]
"""Asks a query from one moment to another with a step, all in seconds."""
_Values = dict[float, float]
"""A counter by moment."""


async def answer(
    query: counts.Query, ranges: Ranges, asks: Sequence[PastAsk], cache: counts.EdgeCache
) -> dict[PastAsk, Reading]:
    """Readings for asks that go to one Prometheus. A failed query is an `unknown` reading of what it was asked for."""
    groups: dict[object, list[PastAsk]] = defaultdict(list)
    for ask in asks:
        groups[ask.of.labels, counts.workload_of(ask.of), ask.start, ask.end, ask.step].append(ask)
    parts = [_together(query, ranges, group, cache) for group in groups.values()]
    return {ask: reading for part in await asyncio.gather(*parts) for ask, reading in part.items()}


async def _together(
    query: counts.Query, ranges: Ranges, asks: Sequence[PastAsk], cache: counts.EdgeCache
) -> dict[PastAsk, Reading]:
    """One workload over one stretch of time."""
    readings: dict[PastAsk, Reading] = {}
    bounds: dict[PastAsk, _Bound] = {}
    for ask in asks:
        try:
            bounds[ask] = await _bound(query, ask, cache)
        except QueryError as error:
            readings[ask] = Reading("unknown", counts.shown(ask.of), detail=str(error))
    asked = {ask: bound for ask, bound in bounds.items() if bound is not _UNBOUNDED}
    try:
        is_native = any(cache.is_native(ask.of) for ask in asked)
        pods = await _pods(ranges, asked, is_native=is_native) if asked else {}
    except QueryError as error:
        return readings | {ask: Reading("unknown", counts.shown(ask.of), detail=str(error)) for ask in bounds}
    return readings | {ask: _reading(ask, bound, pods) for ask, bound in bounds.items()}


@dataclass(frozen=True, slots=True)
class _Bound:
    """The histogram edge above which a request is slow, seconds, and how it is spelled; none for errors."""

    edge: float | None = None
    les: frozenset[str] = frozenset()


_UNBOUNDED: Final = _Bound(math.inf)
"""No edge is as high as what counts as slow."""


async def _bound(query: counts.Query, ask: PastAsk, cache: counts.EdgeCache) -> _Bound:
    if ask.of.metric == "success":
        return _Bound()
    edges = await counts.edges_of(query, ask.of, cache)
    edge = counts.edge_for(ask.of, edges)
    return _Bound(edge, edges[edge]) if edge is not None else _UNBOUNDED


async def _pods(ranges: Ranges, asked: Mapping[PastAsk, _Bound], *, is_native: bool) -> dict[str, _Pod]:
    """What all of these asks need to know, by pod."""
    ask = next(iter(asked))
    les = frozenset[str]().union(*(bound.les for bound in asked.values()))
    counted = any(bound.edge is None for bound in asked.values())
    text = promql.past(ask.of.labels, counts.workload_of(ask.of), les, counted=counted, is_native=is_native)
    pods: dict[str, _Pod] = defaultdict(_Pod)
    for answered in await asyncio.gather(*(ranges(text, *window, ask.step) for window in _windows(ask))):
        for series in answered:
            pods[series.labels.get(ask.of.labels.pod, "")].take(series)
    return pods


def _windows(ask: PastAsk) -> list[tuple[float, float]]:
    """From where to where to ask, on whole steps, so that the same question again finds what is cached."""
    first, last = math.ceil(ask.start / ask.step), math.floor(ask.end / ask.step)
    starts = range(first, last + 1, POINTS)
    return [(start * ask.step, min(start + POINTS - 1, last) * ask.step) for start in starts]


@dataclass(slots=True)
class _Pod:
    """What the answers say of one pod: values by moment."""

    parts: dict[str, _Values] = field(default_factory=dict)
    buckets: dict[str, _Values] = field(default_factory=dict)

    def take(self, series: RangeSeries) -> None:
        """Take in one series."""
        le = series.labels.get("le")
        into, key = (self.buckets, le) if le is not None else (self.parts, series.labels.get(PART, ""))
        values = {at: value for at, value in series.values if 0 <= value < math.inf}
        into[key] = into[key] | values if key in into else values

    def track(self, bound: _Bound) -> Track:
        """Its counters over time; a moment at which its buckets are missing is left out."""
        if bound.edge is None:
            failed = self.parts.get("bad", {})
            totals = sorted(self.parts.get("total", {}).items())
            return tuple((at, total, min(failed.get(at, 0.0), total)) for at, total in totals)
        fast = _largest(self.buckets[le] for le in bound.les if le in self.buckets)
        totals = sorted(self.buckets.get("+Inf", {}).items())
        return tuple((at, total, max(total - fast[at], 0.0)) for at, total in totals if at in fast)


def _largest(spelled: Iterable[_Values]) -> _Values:
    """The same bucket under several spellings."""
    found: _Values = {}
    for values in spelled:
        found |= {at: max(value, found.get(at, 0.0)) for at, value in values.items()}
    return found


def _reading(ask: PastAsk, bound: _Bound, pods: Mapping[str, _Pod]) -> Reading:
    if bound is _UNBOUNDED:
        detail = "no histogram with an edge at what counts as slow"
        return Reading("no-data", counts.shown(ask.of), detail=detail)
    past = {name: track for name, pod in pods.items() if (track := pod.track(bound))}
    detail = "" if past else counts.absent(ask.of)
    return Reading("value" if past else "no-data", counts.shown(ask.of), past=past, edge=bound.edge, detail=detail)
