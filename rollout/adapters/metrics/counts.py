"""Counters of many workloads with few queries: one per chunk of workloads and metric, plus one for unknown edges."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rollout.adapters.metrics import promql
from rollout.adapters.metrics.promql import PART, Workload
from rollout.adapters.metrics.server import QueryError
from rollout.plan.gate import MetricLabels
from rollout.ports.metrics import CountAsk, Reading, Series

CHUNK: Final = 100
"""Workloads per query: longer URLs do not get through every proxy."""
EDGES_SECONDS: Final = 600.0
"""How long a workload's histogram edges are believed."""

Query = Callable[[str], Awaitable[list[Series]]]


USUAL: Final = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
"""Milliseconds. Edges that a bound is chosen from where histograms are native and have none."""


@dataclass(frozen=True, slots=True)
class Edges:
    """The histogram edges of one workload."""

    at: float
    """When they were learned."""
    spelled: Mapping[float, frozenset[str]]
    """`le` labels by upper edge, seconds; of native histograms the usual ones."""
    native: bool = False
    """Any other edge will do as well."""


@dataclass(slots=True)
class EdgeCache:
    """The histogram edges of workloads."""

    known: dict[tuple[MetricLabels, Workload], Edges] = field(default_factory=dict)

    def of(self, ask: CountAsk, now: float) -> Mapping[float, frozenset[str]]:
        """The edges for a question, empty when they are not known or too old."""
        found = self.known.get((ask.labels, workload_of(ask)))
        if found is None or now - found.at >= EDGES_SECONDS:
            return {}
        exact = ask.slower_than if found.native else None
        return found.spelled if exact is None else {**found.spelled, exact: frozenset({f"{1000 * exact:.10g}"})}

    def is_native(self, ask: CountAsk) -> bool:
        """Whether the workload's histograms are native ones, as far as is known."""
        found = self.known.get((ask.labels, workload_of(ask)))
        return found is not None and found.native


async def answer(
    query: Query, asks: Sequence[CountAsk], cache: EdgeCache, stale_after: float
) -> dict[CountAsk, Reading]:
    """Readings for asks that go to one Prometheus. A failed query is an `unknown` reading of what it was asked for."""
    groups: dict[tuple[str, MetricLabels], list[CountAsk]] = defaultdict(list)
    for ask in sorted(asks, key=workload_of):
        groups[ask.metric, ask.labels].append(ask)
    parts = [
        _answer_chunk(query, labels, metric, group[start : start + CHUNK], cache, stale_after)
        for (metric, labels), group in groups.items()
        for start in range(0, len(group), CHUNK)
    ]
    return {ask: reading for part in await asyncio.gather(*parts) for ask, reading in part.items()}


def workload_of(ask: CountAsk) -> Workload:
    """Namespace and name."""
    return ask.namespace, ask.workload


async def edges_of(query: Query, ask: CountAsk, cache: EdgeCache) -> Mapping[float, frozenset[str]]:
    """The edges of a workload's histogram.

    Raises:
        QueryError: they are not known, and there is no answer.
    """
    await _learn_edges(query, ask.labels, [ask], cache)
    return cache.of(ask, asyncio.get_running_loop().time())


def shown(ask: CountAsk) -> str:
    """The query for people."""
    return promql.shown(ask.labels, ask.metric, workload_of(ask))


def absent(ask: CountAsk) -> str:
    """That there is nothing to answer with, for people."""
    return f"no series {_series(ask)}"


def _series(ask: CountAsk) -> str:
    name = ask.labels.requests if ask.metric == "success" else ask.labels.latency
    return f"{name} for workload {ask.workload} in {ask.namespace}"


async def _answer_chunk(
    query: Query, labels: MetricLabels, metric: str, asks: Sequence[CountAsk], cache: EdgeCache, stale_after: float
) -> dict[CountAsk, Reading]:
    try:
        if metric == "success":
            pods = _by_pod(labels, await query(promql.requests(labels, _workloads(asks))))
            return {ask: _success(ask, pods.get(workload_of(ask), {}), stale_after) for ask in asks}
        return await _slow_chunk(query, labels, asks, cache, stale_after)
    except QueryError as error:
        return {ask: _reading(ask, "unknown", detail=str(error)) for ask in asks}


async def _slow_chunk(
    query: Query, labels: MetricLabels, asks: Sequence[CountAsk], cache: EdgeCache, stale_after: float
) -> dict[CountAsk, Reading]:
    await _learn_edges(query, labels, asks, cache)
    now = asyncio.get_running_loop().time()
    edges = {ask: cache.of(ask, now) for ask in asks}
    chosen = {ask: edge for ask in asks if (edge := edge_for(ask, edges[ask])) is not None}
    whole = [ask for ask in asks if ask.slower_than is None and edges[ask]]
    found: list[Series] = []
    for is_native, written in ((False, promql.buckets), (True, promql.native)):
        alike = [ask for ask in chosen if cache.is_native(ask) is is_native]
        if alike:
            les = {le for ask in alike for le in edges[ask][chosen[ask]]}
            les |= {le for ask in alike if ask in whole for spelled in edges[ask].values() for le in spelled}
            found += await query(written(labels, _workloads(alike), les))
    pods = _by_pod(labels, found)
    readings: dict[CountAsk, Reading] = {}
    for ask in asks:
        if ask in whole:
            readings[ask] = _histogram(ask, pods.get(workload_of(ask), {}), edges[ask], stale_after)
        elif ask in chosen:
            edge = chosen[ask]
            readings[ask] = _slow(ask, pods.get(workload_of(ask), {}), edge, edges[ask][edge], stale_after)
        else:
            readings[ask] = _without_edge(ask, edges[ask])
    for ask, reading in readings.items():
        if cache.is_native(ask):
            text = promql.shown(labels, ask.metric, workload_of(ask), is_native=True)
            readings[ask] = replace(reading, query=text)
        if reading.status == "no-data":
            # its pods may come back with other edges
            cache.known.pop((labels, workload_of(ask)), None)
    return readings


async def _learn_edges(query: Query, labels: MetricLabels, asks: Sequence[CountAsk], cache: EdgeCache) -> None:
    now = asyncio.get_running_loop().time()
    unknown = [ask for ask in asks if not cache.of(ask, now)]
    if not unknown:
        return
    found: dict[Workload, dict[float, set[str]]] = defaultdict(lambda: defaultdict(set))
    for series in await query(promql.edges(labels, _workloads(unknown))):
        le = series.labels.get("le", "")
        # "500" and "500.0" are one edge: exporters and versions of Prometheus spell it differently
        found[_workload(labels, series)][_edge(le)].add(le)
    for workload, by_edge in found.items():
        finite = {edge: frozenset(les) for edge, les in by_edge.items() if math.isfinite(edge)}
        cache.known[labels, workload] = Edges(now, finite)
    bare = [workload for workload in _workloads(unknown) if workload not in found]
    for workload in await _natives(query, labels, bare) if bare else ():
        cache.known[labels, workload] = Edges(now, {it / 1000: frozenset({str(it)}) for it in USUAL}, native=True)


async def _natives(query: Query, labels: MetricLabels, workloads: Sequence[Workload]) -> list[Workload]:
    """Those without buckets that have native histograms; none where the server does not know what that is."""
    try:
        return [_workload(labels, series) for series in await query(promql.natives(labels, workloads))]
    except QueryError:
        return []


def _edge(le: str) -> float:
    """The upper edge in seconds; NaN for what is no number."""
    try:
        return float(le) / 1000
    except ValueError:
        return math.nan


def edge_for(ask: CountAsk, edges: Iterable[float]) -> float | None:
    """The smallest edge at or above what counts as slow."""
    limit = ask.slower_than or 0.0
    # 0.3 s and 300 ms must meet although floats do not
    return min((edge for edge in edges if edge >= limit * (1 - 1e-9)), default=None)


@dataclass(slots=True)
class _Pod:
    """What one answer says of one pod: values by part, and by `le` for buckets."""

    parts: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, float] = field(default_factory=dict)


def _by_pod(labels: MetricLabels, answer: Iterable[Series]) -> dict[Workload, dict[str, _Pod]]:
    pods: dict[Workload, dict[str, _Pod]] = defaultdict(lambda: defaultdict(_Pod))
    for series in answer:
        if not 0 <= series.value < math.inf:
            continue  # no counter has such a value: NaN, an infinity, less than nothing
        pod = pods[_workload(labels, series)][series.labels.get(labels.pod, "")]
        if (le := series.labels.get("le")) is not None:
            pod.buckets[le] = series.value
        else:
            pod.parts[series.labels.get(PART, "")] = series.value
    return pods


def _success(ask: CountAsk, pods: Mapping[str, _Pod], stale_after: float) -> Reading:
    # no series of errors means no errors, as long as there are requests; the two may come from two replicas
    counts = {
        name: (total, min(pod.parts.get("bad", 0.0), total))
        for name, pod in pods.items()
        if (total := pod.parts.get("total")) is not None
    }
    return _counted(ask, pods, counts, stale_after)


def _slow(ask: CountAsk, pods: Mapping[str, _Pod], edge: float, les: frozenset[str], stale_after: float) -> Reading:
    counts: dict[str, tuple[float, float]] = {}
    for name, pod in pods.items():
        fast = [pod.buckets[le] for le in les if le in pod.buckets]
        # a pod with other edges is left out: without this bucket all its requests would look slow
        if fast and "+Inf" in pod.buckets:
            total = pod.buckets["+Inf"]
            counts[name] = (total, max(0.0, total - max(fast)))
    detail = ""
    if ask.slower_than is not None and edge > ask.slower_than * (1 + 1e-9):
        detail = f"the histogram has no edge at {ask.slower_than:g} s: counting requests slower than {edge:g} s"
    return _counted(ask, pods, counts, stale_after, edge=edge, detail=detail)


def _histogram(
    ask: CountAsk, pods: Mapping[str, _Pod], edges: Mapping[float, frozenset[str]], stale_after: float
) -> Reading:
    """All edges at once, over all pods that have them: what a bound is chosen from."""
    spelled = {edge: sorted(les) for edge, les in edges.items()}
    found = {
        name: {edge: max((pod.buckets.get(le, 0.0) for le in les), default=0.0) for edge, les in spelled.items()}
        for name, pod in pods.items()
        if "+Inf" in pod.buckets and all(any(le in pod.buckets for le in les) for les in spelled.values())
    }
    counts = {name: (pods[name].buckets["+Inf"], 0.0) for name in found}
    within = {edge: math.fsum(by_edge[edge] for by_edge in found.values()) for edge in edges}
    return replace(_counted(ask, pods, counts, stale_after), within=within if found else {})


def _counted(
    ask: CountAsk,
    pods: Mapping[str, _Pod],
    counts: Mapping[str, tuple[float, float]],
    stale_after: float,
    *,
    edge: float | None = None,
    detail: str = "",
) -> Reading:
    """One pod that died does not make its workload stale: the others still tell."""
    if not counts:
        return _reading(ask, "no-data", edge=edge, detail=absent(ask))
    ages = [pods[name].parts.get("age", 0.0) for name in counts]
    if min(ages) > stale_after:
        detail = f"the newest sample of {_series(ask)} is {min(ages):.0f} s old"
        return _reading(ask, "stale", edge=edge, detail=detail)
    if "" in counts:
        lost = f"the series have no label {ask.labels.pod}: pods are counted together, and restarts may hide requests"
        detail = f"{detail}; {lost}" if detail else lost
    return _reading(ask, "value", pods=counts, edge=edge, detail=detail)


def _without_edge(ask: CountAsk, edges: Mapping[float, frozenset[str]]) -> Reading:
    if not edges:
        return _reading(ask, "no-data", detail=f"no histogram for workload {ask.workload} in {ask.namespace}")
    detail = f"no histogram edge at or above {ask.slower_than:g} s; the highest is {max(edges):g} s"
    return _reading(ask, "unknown", detail=detail)


def _reading(
    ask: CountAsk,
    status: Literal["value", "no-data", "stale", "unknown"],
    *,
    pods: Mapping[str, tuple[float, float]] | None = None,
    edge: float | None = None,
    detail: str = "",
) -> Reading:
    return Reading(status, shown(ask), pods=dict(pods or {}), edge=edge, detail=detail)


def _workload(labels: MetricLabels, series: Series) -> Workload:
    return series.labels.get(labels.namespace, ""), series.labels.get(labels.workload, "")


def _workloads(asks: Iterable[CountAsk]) -> list[Workload]:
    return sorted({workload_of(ask) for ask in asks})
