"""The port `Metrics` on the counters of the simulated traffic, with every way in which metrics fail.

Queries are answered from what was sampled so far, as a Prometheus that scrapes every pod would; what a test sets for a
query counts before that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from rollout.adapters.memory.behaviour import Behaviours
from rollout.adapters.memory.injector import PROXY, carried
from rollout.adapters.memory.objects import Objects
from rollout.adapters.memory.promql import Vector, answer
from rollout.adapters.memory.promql_parse import QueryError
from rollout.adapters.memory.scraping import scraped
from rollout.adapters.memory.series import EDGES, NAME, Key, SeriesStore, labelled
from rollout.adapters.memory.telemetry import Value
from rollout.adapters.memory.traffic import PodCounters, Traffic
from rollout.plan.kinds import PEER_AUTHENTICATION, POD, Ref
from rollout.ports.metrics import Ask, CountAsk, PastAsk, Reading, ScalarAsk, Series, VectorAsk

LINGER: Final = 30.0
"""Until a target that is gone takes its series with it: two intervals in which nobody has scraped it."""
Fault = Literal["outage", "no-data", "stale", "many"]
_UP: Final = labelled({"job": "prometheus", "instance": "localhost:9090"})
_WHERE: Final = ("destination_workload_namespace", "destination_workload")
_CPU, _MEMORY = "container_cpu_usage_seconds_total", "container_memory_working_set_bytes"


class MemoryMetrics:
    """Answers from the traffic's counters; `fault` makes all answers fail in one way until it is None again."""

    def __init__(self, objects: Objects, traffic: Traffic, behaviours: Behaviours) -> None:
        self.fault: Fault | None = None
        self.linger = LINGER
        """Seconds for which the series of a pod that is gone are still answered."""
        self.asked = 0
        """Questions so far: an idle controller asks none."""
        self.store = SeriesStore()
        """What has been sampled."""
        self.targets: dict[str, int] = {}
        """Ports of workloads that are scraped in plaintext by a configuration of Prometheus' own, by `app` label."""
        self._objects = objects
        self._traffic = traffic
        self._behaviours = behaviours
        self._cpu: dict[tuple[str, str], float] = {}
        self._sampled = objects.now()
        self._up = Key("up", _UP)
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

    def tick(self) -> None:
        """Take a sample of everything, when it is time."""
        now = self._objects.now()
        if self.store.due(now):
            self.store.sample(now, self._scrape(now))
            self._sampled = now

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
            case PastAsk():
                return self._past(ask)

    def _past(self, ask: PastAsk) -> Reading:
        """From the samples of all series that servers count."""
        count = ask.of
        where = {"reporter": "destination", **dict(zip(_WHERE, (count.namespace, count.workload), strict=True))}
        slow = count.metric == "slow"
        name = "istio_request_duration_milliseconds_bucket" if slow else "istio_requests_total"
        fast = f"{1000 * edge_for(count.slower_than or 0.0):g}"
        found = self.store.choose(
            (name, *where.values()),
            lambda labels: labels[NAME] == name and all(labels.get(key) == value for key, value in where.items()),
        )
        tracks: dict[str, list[tuple[float, float, float]]] = {}
        for at in (ask.end - ask.step * number for number in range(int((ask.end - ask.start) / ask.step), -1, -1)):
            moment: dict[str, list[float]] = {}
            for series in found:
                known = self.store.at(series, at)
                if known is None:
                    continue
                both = moment.setdefault(series.labels["pod"], [0.0, 0.0])
                le = series.labels.get("le")
                both[0] += known[1] if le in (None, "+Inf") else 0.0
                both[1] += _part(series.labels, known[1], le, fast)
            for pod, (total, bad) in moment.items():
                tracks.setdefault(pod, []).append((at, total, bad))
        past = {pod: tuple(track) for pod, track in tracks.items()}
        return Reading("value" if past else "no-data", query_of(ask), past=past)

    def _scrape(self, now: float) -> Iterator[Value]:
        pods = self._objects.of(POD)
        names = [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods]
        yield self._up, 1.0
        yield from self._traffic.telemetry.scrape(names)
        yield from scraped(pods, self.targets, self._objects.of(PEER_AUTHENTICATION))
        cpu = {}
        for name, pod in zip(names, pods, strict=True):
            if carried(pod):
                own = self._behaviours.of_pod(pod)
                cpu[name] = self._cpu.get(name, 0.0) + own.proxy_cores * (now - self._sampled)
                labels = labelled({"namespace": name[0], "pod": name[1], "container": PROXY})
                yield Key(_CPU, labels), cpu[name]
                yield Key(_MEMORY, labels), own.proxy_bytes
        self._cpu = cpu

    def _vector(self, ask: VectorAsk) -> Reading:
        found = self._vectors.get(ask.query)
        if found is None:
            try:
                found = _series(answer(ask.query, self.store, self._objects.now()))
            except QueryError as error:
                return Reading("unknown", ask.query, detail=str(error))
        series = tuple(one for one in found if math.isfinite(one.value))
        return Reading("value" if series else "no-data", ask.query, series=series)

    def _scalar(self, ask: ScalarAsk) -> Reading:
        source = self._scalars.get(ask.query)
        if source is not None:
            return _number(ask, source())
        try:
            found = answer(ask.query, self.store, self._objects.now())
        except QueryError as error:
            return Reading("unknown", ask.query, detail=str(error))
        if isinstance(found, float):
            return _number(ask, found)
        if len(found) > 1:
            return Reading("many", ask.query, detail=f"{len(found)} series where one number was asked for")
        return _number(ask, found[0][1] if found else None)

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


def _part(labels: Mapping[str, str], value: float, le: str | None, fast: str) -> float:
    """What a series adds to the bad requests: those answered 5xx, or all that are not fast enough."""
    if le is None:
        return value if labels["response_code"].startswith("5") else 0.0
    return {"+Inf": value, fast: -value}.get(le, 0.0)


def _bad(counters: PodCounters, metric: str, edge: float | None) -> int:
    if metric == "success":
        return counters.errors
    return 0 if edge is None else counters.slower_than(edge)


def _number(ask: ScalarAsk, value: float | None) -> Reading:
    if value is None or math.isnan(value):
        return Reading("no-data", ask.query)
    return Reading("value", ask.query, value=value)


def _series(found: float | Vector) -> tuple[Series, ...]:
    pairs = [({}, found)] if isinstance(found, float) else found
    return tuple(Series({key: text for key, text in labels.items() if key != NAME}, value) for labels, value in pairs)


def edge_for(slower_than: float) -> float:
    """The next histogram edge at or above a latency, seconds."""
    return next((edge for edge in EDGES if edge >= slower_than), EDGES[-1])


def query_of(ask: Ask) -> str:
    """The question in words, for messages."""
    if isinstance(ask, PastAsk):
        return f"{query_of(ask.of)}, for {ask.end - ask.start:g}s"
    if not isinstance(ask, CountAsk):
        return ask.query
    slow = f", slower than {ask.slower_than}s" if ask.slower_than is not None else ""
    return f"{ask.metric} of {ask.namespace}/{ask.workload} by pod{slow}"
