"""The in-memory metrics tell what the traffic counted, and fail in each of the ways that metrics have."""

from __future__ import annotations

from typing import Literal

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.metrics import Fault, edge_for
from rollout.adapters.memory.world import World
from rollout.ports.metrics import Ask, CountAsk, Reading, ScalarAsk, VectorAsk

SUCCESS = CountAsk("success", "shop", "web")


async def ask(world: World, question: Ask) -> Reading:
    return (await world.metrics.ask([question]))[question]


@pytest.fixture
def world() -> World:
    world = World(seed=3)
    world.behaviour("shop/web:1.0", Behaviour(error_rate=0.1, slow_rate=0.2))
    world.deploy_shop()
    world.run(30)
    return world


async def test_counts_agree_with_the_ledger(world: World) -> None:
    reading = await ask(world, SUCCESS)
    assert reading.status == "value"
    assert set(reading.pods) == set(world.ready_pods())
    assert sum(total for total, _ in reading.pods.values()) == world.traffic.ledger.by_workload["web"] == 3000
    assert sum(bad for _, bad in reading.pods.values()) == world.traffic.ledger.failed_by("web")


async def test_counters_only_grow(world: World) -> None:
    before = (await ask(world, SUCCESS)).pods
    world.run(10)
    after = (await ask(world, SUCCESS)).pods
    assert all(after[pod][0] > total and after[pod][1] >= bad for pod, (total, bad) in before.items())


@pytest.mark.parametrize(("limit", "edge", "share"), [(0.3, 0.5, 0.2), (0.9, 1.0, 0.0), (0.001, 0.001, 1.0)])
async def test_slow_requests_are_counted_at_the_next_edge(
    world: World, limit: float, edge: float, share: float
) -> None:
    reading = await ask(world, CountAsk("slow", "shop", "web", slower_than=limit))
    total = sum(total for total, _ in reading.pods.values())
    assert reading.edge == edge == edge_for(limit)
    assert sum(bad for _, bad in reading.pods.values()) / total == pytest.approx(share, abs=0.02)


async def test_a_workload_without_requests_has_no_data(world: World) -> None:
    assert (await ask(world, CountAsk("success", "shop", "nobody"))).status == "no-data"


async def test_a_pod_that_is_gone_takes_its_series_with_it_after_a_while(world: World) -> None:
    gone = world.ready_pods()[0]
    world.kill_pod(gone)
    world.run(world.metrics.linger)
    assert gone in (await ask(world, SUCCESS)).pods
    world.run(1)
    assert gone not in (await ask(world, SUCCESS)).pods


async def test_callers_outside_the_mesh_are_not_counted() -> None:
    world = World()
    world.deploy_shop(rate=0)
    world.traffic.add_client("web", "shop", 100, meshed=False)
    world.run(10)
    assert world.traffic.ledger.by_workload["web"] == 1000
    assert (await ask(world, SUCCESS)).status == "no-data"


async def test_a_query_that_cannot_be_read_is_unknown_and_says_why(world: World) -> None:
    for question in (ScalarAsk("sum(rate("), VectorAsk("sum(rate(")):
        reading = await ask(world, question)
        assert reading.status == "unknown"
        assert "parse error" in reading.detail


async def test_queries_are_answered_from_what_was_sampled(world: World) -> None:
    counted = ScalarAsk('sum(istio_requests_total{reporter="destination",destination_workload="web"})')
    assert (await ask(world, counted)).value == world.traffic.ledger.by_workload["web"]
    by_pod = await ask(world, VectorAsk('sum by (pod) (rate(istio_requests_total{reporter="destination"}[20s]))'))
    assert {one.labels["pod"] for one in by_pod.series} == set(world.ready_pods())
    assert (await ask(world, ScalarAsk(by_pod.query))).status == "many"
    slow = ScalarAsk("histogram_quantile(0.99, sum by (le) (rate(istio_request_duration_milliseconds_bucket[20s])))")
    assert 500 < ((await ask(world, slow)).value or 0) <= 1000


async def test_scalars_come_from_the_test(world: World) -> None:
    values = iter([1.0, 2.0])
    world.metrics.set_scalar("fixed", 0.25)
    world.metrics.set_scalar("moving", lambda: next(values))
    world.metrics.set_scalar("nan", float("nan"))
    assert (await ask(world, ScalarAsk("fixed"))).value == 0.25
    assert [(await ask(world, ScalarAsk("moving"))).value for _ in range(2)] == [1.0, 2.0]
    assert (await ask(world, ScalarAsk("nan"))).status == "no-data"
    assert (await ask(world, ScalarAsk("unheard_of"))).status == "no-data"


@pytest.mark.parametrize(
    ("fault", "status"), [("outage", "unknown"), ("no-data", "no-data"), ("stale", "stale"), ("many", "many")]
)
async def test_every_way_to_fail_is_its_own_answer(
    world: World, fault: Fault, status: Literal["unknown", "no-data", "stale", "many"]
) -> None:
    world.metrics.set_scalar("fixed", 0.25)
    world.metrics.fault = fault
    for question in (SUCCESS, ScalarAsk("fixed")):
        reading = await ask(world, question)
        assert reading.status == status
        assert reading.value is None
        assert not reading.pods
    world.metrics.fault = None
    assert (await ask(world, SUCCESS)).status == "value"


async def test_questions_are_counted(world: World) -> None:
    await world.metrics.ask([SUCCESS, ScalarAsk("x")])
    assert world.metrics.asked == 2
