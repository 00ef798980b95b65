"""What a run writes: of what goes as planned only what must be, and of what changes at every look not every word."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from rollout.controller.report import QUIET
from rollout.plan.base import Json
from rollout.plan.kinds import EVENT
from rollout.plan.run import Phase
from rollout.ports.metrics import Ask, Metrics, Reading
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import GOOD, plan

GATES = [
    {"name": "success", "metric": "success", "min": "99%", "minRequests": 1},
    {"name": "latency", "metric": "slow", "slowerThan": "500ms", "max": "50%", "minRequests": 1},
]


def two_gates(**spec: Any) -> Json:
    """A plan whose steps of some seconds have a look at two gates each, at their ends."""
    body = {"target": {"name": "web"}, "analysis": {"interval": "9s", "gates": GATES}, "router": {"settle": "500ms"}}
    return {**plan(), "spec": body | spec}


@dataclass
class Muffled:
    """Metrics that have nothing to say for a while; each look finds other words for that."""

    inner: Metrics
    silent: bool = False
    looks: int = 0

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        found = await self.inner.ask(asks)
        if not self.silent:
            return found
        self.looks += 1
        return {ask: Reading("no-data", "q", detail=f"look {self.looks} found nothing") for ask in found}


@asynccontextmanager
async def watched(spec: Json) -> AsyncIterator[tuple[Controlled, Muffled]]:
    """The shop at its second weight."""
    async with shop(plan=spec) as world:
        plans = world.processes[0].controller.plans
        muffled = Muffled(plans.world.metrics)
        heard = replace(plans.world, metrics=muffled)
        plans.world = plans.reconciler.world = heard
        world.release(GOOD)
        await world.until(lambda: weights(world) == 2)
        yield world, muffled


def weights(world: Controlled) -> int:
    return sum(it.startswith("WeightSet") for it in world.notes())


def events(world: Controlled, reason: str) -> int:
    return sum(ref.kind == EVENT and obj["reason"] == reason for ref, obj in world.sim.memory.objects)


async def test_a_fast_step_costs_the_write_of_its_state_and_that_of_its_route() -> None:
    async with watched(two_gates(linear={"step": 1, "every": "9s", "to": 12})) as (world, _):
        sent, told = world.processes[0].link.sent, sum(ref.kind == EVENT for ref, _ in world.sim.memory.objects)
        before = len(sent)
        await world.until(lambda: weights(world) == 10)
        counted = Counter((it.verb, it.ref.kind.name) for it in sent[before:])
        assert counted == {("status of", "PlanRun"): 8, ("patch", "VirtualService"): 8}
        assert sum(ref.kind == EVENT for ref, _ in world.sim.memory.objects) - told <= 1, "of the first weight"


async def test_a_long_step_is_told_when_it_has_lasted_a_while_by_one_event() -> None:
    async with watched(two_gates(steps=[{"weight": 5, "hold": "9s"}, {"weight": 20, "hold": "60s"}])) as (world, _):
        await world.passed(QUIET - 2)
        assert (world.plan()["status"].get("weight"), events(world, "WeightSet")) != (20, 1)
        await world.passed(4)
        assert (world.plan()["status"]["weight"], events(world, "WeightSet")) == (20, 1)
        await world.passed(30)
        assert (events(world, "WeightSet"), events(world, "StepPassed")) == (1, 0)


async def test_a_wait_that_is_over_with_the_next_scrape_is_the_runs_own_business() -> None:
    async with watched(two_gates(steps=[{"weight": 5, "hold": "9s"}, {"weight": 20, "hold": "9s"}])) as (
        world,
        metrics,
    ):
        metrics.silent = True
        await world.until(lambda: world.run_phase() == Phase.HOLDING)
        await world.passed(QUIET / 2)
        metrics.silent = False
        await world.until(world.ended(Phase.SUCCEEDED))
        assert (events(world, "NoData"), events(world, "Cleared")) == (0, 0)
        assert [it for it in world.notes() if it.startswith("NoData")], "the story has it"


async def test_a_wait_that_lasts_is_told_and_its_changing_words_once_a_minute() -> None:
    async with watched(two_gates(steps=[{"weight": 5, "hold": "9s"}, {"weight": 20, "hold": "9s"}])) as (
        world,
        metrics,
    ):
        metrics.silent = True
        await world.until(lambda: world.run_phase() == Phase.HOLDING)
        await world.passed(QUIET + 2)
        assert (world.phase(), world.plan()["status"]["reason"], events(world, "NoData")) == ("Holding", "NoData", 1)
        sent, looks = world.processes[0].link.sent, metrics.looks
        before = len(sent)
        await world.passed(180)
        counted = Counter((it.verb, it.ref.kind.name) for it in sent[before:])
        assert metrics.looks - looks > 15
        assert set(counted) == {("status of", "PlanRun"), ("status of", "CanaryPlan")}
        assert max(counted.values()) <= 4
        metrics.silent = False
        await world.until(world.ended(Phase.SUCCEEDED))
        assert events(world, "Cleared") == 1
