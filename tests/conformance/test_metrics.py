"""The port `Metrics`: the same suite on the simulated metrics and on Prometheus' query API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest

from rollout.adapters.memory.metrics import MemoryMetrics
from rollout.adapters.memory.series import Key, SeriesStore, labelled
from rollout.adapters.memory.traffic import PodCounters
from rollout.adapters.memory.world import World
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.plan.gate import Provider
from tests.conformance.metrics_suite import CALLERS, EPOCH, NAMESPACE, NUMBER, WORKLOAD, MetricsSuite
from tests.kit.prometheus import FakePod, FakePrometheus, refuses, vector


class MemoryBench:
    def __init__(self) -> None:
        self.world = World()
        self.metrics: MemoryMetrics = self.world.metrics
        self.told: dict[float, dict[str, list[int]]] = {}

    def count(self, pod: str, *, total: int, bad: int = 0, slow: int = 0) -> None:
        if pod not in self.world.traffic.pods:
            metadata = {"name": pod, "namespace": NAMESPACE}
            containers = [{"name": "app", "image": "shop/web:1.0"}]
            self.world.apply(
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
            )
        self.world.traffic.pods[pod] = PodCounters(NAMESPACE, WORKLOAD, total, bad, slow, slow_seconds=1.0)

    def history(self, pod: str, *counters: tuple[float, int, int, int]) -> None:
        for at, *counts in counters:
            self.told.setdefault(EPOCH + at, {})[pod] = counts
        store = self.metrics.store = SeriesStore()
        for at, pods in sorted(self.told.items()):
            store.sample(at, [value for name, counts in pods.items() for value in _scraped(name, *counts)])

    def number(self, value: float | None) -> None:
        self.metrics.set_scalar(NUMBER.query, value)

    def callers(self, *series: tuple[dict[str, str], float]) -> None:
        self.metrics.set_vector(CALLERS.query, series)

    def fail(self, how: Literal["outage", "stale", "many"]) -> None:
        self.metrics.fault = how


def _scraped(pod: str, total: int, bad: int, slow: int) -> Iterator[tuple[Key, float]]:
    """As the proxy of a pod shows it."""
    where = {"destination_workload_namespace": NAMESPACE, "destination_workload": WORKLOAD}
    labels = {"reporter": "destination", "pod": pod, **where}
    for code, requests in (("200", total - bad), ("503", bad)):
        yield Key("istio_requests_total", labelled({**labels, "response_code": code})), float(requests)
    for seconds, requests in ((0.02, total - slow), (1.0, slow)):
        yield Key("istio_request_duration_milliseconds", labelled(labels), seconds), float(requests)


class TestMemoryMetrics(MetricsSuite):
    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()


class PrometheusBench:
    def __init__(self, fake: FakePrometheus) -> None:
        self.fake = fake
        self.metrics = Prometheus(default=Provider(address=fake.address))

    def count(self, pod: str, *, total: int, bad: int = 0, slow: int = 0) -> None:
        slower = {"250": float(slow), "500": float(slow), "1000": 0.0}
        self.fake.pods[NAMESPACE, WORKLOAD, pod] = FakePod(total, bad or None, slower)

    def history(self, pod: str, *counters: tuple[float, int, int, int]) -> None:
        self.count(pod, total=0, slow=1)
        self.fake.past[NAMESPACE, WORKLOAD, pod] = {EPOCH + at: counts for at, *counts in counters}

    def number(self, value: float | None) -> None:
        self.fake.answers[NUMBER.query] = vector([] if value is None else [({}, str(value))])

    def callers(self, *series: tuple[dict[str, str], float]) -> None:
        self.fake.answers[CALLERS.query] = vector([(labels, str(value)) for labels, value in series])

    def fail(self, how: Literal["outage", "stale", "many"]) -> None:
        match how:
            case "outage":
                self.fake.fault = refuses(503, "shutting down")
            case "stale":
                for pod in self.fake.pods.values():
                    pod.age = 3600
            case "many":
                self.fake.answers[NUMBER.query] = vector([({"pod": "a"}, "1"), ({"pod": "b"}, "2")])


class TestPrometheus(MetricsSuite):
    @pytest.fixture
    async def bench(self, fake_prometheus: FakePrometheus) -> AsyncIterator[PrometheusBench]:
        bench = PrometheusBench(fake_prometheus)
        yield bench
        await bench.metrics.close()
