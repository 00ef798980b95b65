"""Two controllers: the leader dies or stands still at any write, the other takes over, and the first wakes again."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.controller.leader import DURATION
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import BAD, GOOD, plan

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])


def end(image: str) -> Phase:
    return Phase.SUCCEEDED if image == GOOD else Phase.ROLLED_BACK


async def settled(world: Controlled, image: str) -> None:
    """The run ends right, once, and nothing is left even of what came late."""
    await world.until(world.ended(end(image)))
    await world.passed(70)
    assert world.wrong(promoted=image == GOOD) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
async def test_the_other_goes_on_when_the_leader_dies_at_any_write(fault: Fault) -> None:
    number = 0
    while True:
        number += 1
        async with shop(FaultPlan(at_write={number: fault}), plan=SHORT) as world:
            first = world.processes[0]
            world.restart = False
            world.spawn("second")
            world.release(GOOD)
            await world.until(world.ended(Phase.SUCCEEDED))
            assert world.wrong(promoted=True) == [], f"{fault} at write {number}"
            if not first.dead:
                return


@pytest.mark.timeout(300)
@pytest.mark.parametrize("image", [GOOD, BAD], ids=["good", "bad"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_leader_that_was_stopped_beyond_its_lease_changes_nothing_when_it_wakes(when: str, image: str) -> None:
    number = 0
    while True:
        number += 1
        async with shop(image=image, plan=SHORT) as world:
            link = world.processes[0].link
            setattr(link, f"freeze_{when}", link.writes + number)
            if not await stops(world, image):
                return
            await wakes_in_vain(world, image, f"stopped {when} write {number}")


async def stops(world: Controlled, image: str) -> bool:
    """Whether the first controller stands still before the run is over."""
    world.spawn("second")
    world.release(image)
    await world.until(lambda: world.processes[0].stopped or world.ended(end(image))())
    return world.processes[0].stopped


async def wakes_in_vain(world: Controlled, image: str, when: str) -> None:
    """The first wakes while the second drives, or when it is done; what it had on its way must fail."""
    first, second = world.processes
    await world.passed(DURATION + 6)
    assert second.controller.leader.leading, when
    sent = len(first.link.sent)
    await first.wake()
    await world.passed(2)
    done = [str(write) for write in first.link.sent[sent:] if write.changed]
    assert [write for write in done if not write.startswith("create")] == [], f"{when}: {done}"
    await settled(world, image)


async def test_a_leader_stopped_between_two_writes_sends_nothing_when_it_wakes() -> None:
    async with shop(plan=plan(steps=[{"weight": 50, "hold": "60s"}])) as world:
        first = world.processes[0]
        world.spawn("second")
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.PROGRESSING)
        first.link.freeze()
        await world.passed(DURATION + 6)
        sent = len(first.link.sent)
        await first.wake()
        await settled(world, GOOD)
        assert first.link.sent[sent:] == []
