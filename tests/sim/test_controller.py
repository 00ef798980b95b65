"""The controller in the simulated cluster: plans from Git, killed anywhere, several at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.plan.kinds import PLAN_RUN
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled
from tests.kit.sim import BAD, GOOD, Sim, plan

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])


@asynccontextmanager
async def shop(faults: FaultPlan | None = None, **spec: object) -> AsyncIterator[Controlled]:
    """A shop with an idle plan and one controller."""
    world = Controlled(Sim(**spec))  # type: ignore[arg-type]  # fields of Sim
    world.commit()
    world.spawn(faults=faults)
    await world.until(lambda: world.phase() == "Idle")
    yield world
    await world.close()


async def test_a_pushed_image_is_promoted_without_a_command() -> None:
    async with shop() as world:
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.sim.at_rest(promoted=True) == []


async def test_a_bad_image_is_rolled_back_and_stays_so() -> None:
    async with shop(image=BAD) as world:
        world.release(BAD)
        await world.until(world.ended(Phase.ROLLED_BACK))
        runs = world.sim.memory.objects.births
        await world.passed(120)
        assert world.sim.memory.objects.births == runs, "what was rolled back is not tried again"
        assert world.sim.at_rest(promoted=False) == []


@pytest.mark.parametrize("image", [GOOD, BAD])
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST_AFTER, Fault.CONFLICT])
async def test_a_fault_at_any_write_changes_nothing_of_the_end(fault: Fault, image: str) -> None:
    number = 0
    while True:
        number += 1
        async with shop(FaultPlan(at_write={number: fault}), image=image, plan=SHORT) as world:
            process = world.processes[0]
            world.release(image)
            end = Phase.SUCCEEDED if image == GOOD else Phase.ROLLED_BACK
            await world.until(world.ended(end))
            assert world.sim.at_rest(promoted=image == GOOD) == [], f"{fault} at write {number}"
            runs = [ref for ref, _ in world.sim.memory.objects if ref.kind == PLAN_RUN]
            assert len(runs) == 1, f"{fault} at write {number}: the revision was tried twice"
            if process.cluster.writes < number:  # type: ignore[attr-defined]  # a FaultyCluster
                return
