"""The port `Metrics`: the same suite on the simulated metrics and on Prometheus' query API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest

from rollout.adapters.memory.metrics import MemoryMetrics
from rollout.adapters.memory.traffic import PodCounters
from rollout.adapters.memory.world import World
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.plan.gate import Provider
from tests.conformance.metrics_suite import CALLERS, NAMESPACE, NUMBER, WORKLOAD, MetricsSuite
from tests.kit.prometheus import FakePod, FakePrometheus, refuses, vector


class MemoryBench:
    def __init__(self) -> None:
        self.world = World()
        self.metrics: MemoryMetrics = self.world.metrics

    def count(self, pod: str, *, total: int, bad: int = 0, slow: int = 0) -> None:
        if pod not in self.world.traffic.pods:
            metadata = {"name": pod, "namespace": NAMESPACE}
            containers = [{"name": "app", "image": "shop/web:1.0"}]
            self.world.apply(
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
            )
        self.world.traffic.pods[pod] = PodCounters(NAMESPACE, WORKLOAD, total, bad, slow, slow_seconds=1.0)

    def number(self, value: float | None) -> None:
        self.metrics.set_scalar(NUMBER.query, value)

    def callers(self, *series: tuple[dict[str, str], float]) -> None:
        self.metrics.set_vector(CALLERS.query, series)

    def fail(self, how: Literal["outage", "stale", "many"]) -> None:
        self.metrics.fault = how


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
