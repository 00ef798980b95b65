"""Controllers whose wall clocks are wrong by ten minutes: nothing that one writes is misread by another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rollout.plan.base import Json, epoch, rfc3339
from rollout.plan.kinds import PLAN_DECISION
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled
from tests.kit.sim import BAD, GOOD, Sim, plan
from tests.sim.test_controller_foreground import holder, start

WRONG = [600.0, -600.0]
SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
APPROVAL = plan(steps=[{"weight": 20}, {"approve": {"within": "5m"}}, {"weight": 50, "hold": "2s"}])
LATE = plan(steps=[{"weight": 20, "hold": "20s"}, {"approve": {"within": "5m"}}, {"weight": 50, "hold": "2s"}])


@asynccontextmanager
async def shop_of(spec: Json, skew: float, image: str = GOOD) -> AsyncIterator[Controlled]:
    world = Controlled(Sim(plan=spec, image=image))
    world.again = lambda: world.spawn(skew=-skew)
    world.commit()
    world.spawn(skew=skew)
    await world.until(lambda: world.phase() == "Idle")
    try:
        yield world
    finally:
        await world.close()


@pytest.mark.parametrize("skew", WRONG)
@pytest.mark.parametrize("image", [GOOD, BAD])
async def test_a_run_is_judged_as_ever_and_tells_the_right_time(skew: float, image: str) -> None:
    async with shop_of(SHORT, skew, image) as world:
        world.release(image)
        begun = world.sim.memory.clock.now()
        await world.until(world.ended(Phase.SUCCEEDED if image == GOOD else Phase.ROLLED_BACK))
        run = world.sim.latest()
        assert run is not None
        assert begun - 1 <= epoch(run["status"]["startedAt"]) <= world.sim.memory.clock.now() + 1
        assert world.wrong(promoted=image == GOOD) == []


@pytest.mark.parametrize("skew", WRONG)
async def test_a_successor_with_another_clock_passes_no_deadline_before_its_time(skew: float) -> None:
    async with shop_of(APPROVAL, skew) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        for _ in range(3):
            await next(it for it in world.processes if not it.dead).kill()
            await world.passed(40)
        assert world.run_phase() == Phase.AWAITING_APPROVAL
        world.order("promote")
        await world.until(world.ended(Phase.SUCCEEDED))


@pytest.mark.parametrize("skew", WRONG)
async def test_an_order_is_for_the_step_at_which_it_was_given(skew: float) -> None:
    async with shop_of(LATE, skew) as world:
        world.release(GOOD)
        await world.until(lambda: any("20 %" in it for it in world.notes()))
        (process,) = world.processes
        process.watcher.blind(PLAN_DECISION)
        await world.passed(5)
        world.order("promote", "early")
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        process.watcher.see(PLAN_DECISION)
        await world.passed(10)
        assert world.run_phase() == Phase.AWAITING_APPROVAL, "nobody had been asked when it was given"
        assert [it for it in world.notes() if "was given before step 2 began" in it]
        world.order("promote", "in time")
        await world.until(world.ended(Phase.SUCCEEDED))


@pytest.mark.parametrize("skew", WRONG)
async def test_an_order_expires_when_it_says(skew: float) -> None:
    async with shop_of(APPROVAL, skew) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        now = world.sim.memory.clock.now()
        world.order("pause", expires=rfc3339(now - 30))
        world.order("promote", expires=rfc3339(now + 30))
        await world.until(world.ended(Phase.SUCCEEDED))
        assert [it for it in world.notes() if "it has expired" in it]


@pytest.mark.parametrize("skew", WRONG)
async def test_an_engine_that_lives_is_left_alone_and_a_dead_one_is_succeeded(skew: float) -> None:
    long = plan(steps=[{"weight": 50, "hold": "60s"}])
    world = Controlled(Sim(plan=long), restart=False)
    terminal = start(world)
    await world.until(lambda: holder(world) == "terminal", limit=30)
    world.spawn(skew=skew)
    await world.passed(45)
    assert (holder(world), terminal.dead) == ("terminal", False)
    await terminal.kill()
    await world.until(world.ended(Phase.SUCCEEDED))
    assert world.wrong(promoted=True) == []
    await world.close()
