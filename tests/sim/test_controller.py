"""The controller in the simulated cluster: plans from Git, killed anywhere, several at once."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.plan.kinds import PLAN_RUN
from rollout.plan.run import Phase
from tests.kit.controlled import shop
from tests.kit.sim import BAD, GOOD, plan

pytestmark = pytest.mark.timeout(300)
SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])


async def test_a_pushed_image_is_promoted_without_a_command() -> None:
    async with shop() as world:
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []


async def test_a_bad_image_is_rolled_back_and_stays_so() -> None:
    async with shop(image=BAD) as world:
        world.release(BAD)
        await world.until(world.ended(Phase.ROLLED_BACK))
        runs = world.sim.memory.objects.births
        await world.passed(120)
        assert world.sim.memory.objects.births == runs, "what was rolled back is not tried again"
        assert world.wrong(promoted=False) == []


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
            assert world.wrong(promoted=image == GOOD) == [], f"{fault} at write {number}"
            runs = [ref for ref, _ in world.sim.memory.objects if ref.kind == PLAN_RUN]
            assert len(runs) == 1, f"{fault} at write {number}: the revision was tried twice"
            if process.faulty.writes < number:
                return
