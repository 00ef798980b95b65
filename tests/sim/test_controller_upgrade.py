"""A rolling update in mid-run: the old controller ends in order, the new one goes on where it was."""

from __future__ import annotations

from collections import Counter

import pytest

from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import GOOD, plan

INTERVAL = 2.0
HELD = plan(steps=[{"weight": 50, "hold": "40s"}])


def actions(world: Controlled) -> Counter[str]:
    """What all processes together did to the data path."""
    sent = [write for process in world.processes for write in process.link.sent if write.changed]
    return Counter(str(write) for write in sent if write.ref.kind.group in ("apps", "networking.istio.io"))


async def uninterrupted() -> tuple[Counter[str], float]:
    async with shop(plan=HELD) as world:
        world.release(GOOD)
        began = world.sim.memory.clock.now()
        await world.until(world.ended(Phase.SUCCEEDED))
        return actions(world), world.sim.memory.clock.now() - began


@pytest.mark.parametrize("overlapping", [True, False], ids=["rolling", "one after the other"])
async def test_an_upgrade_in_mid_hold_goes_on_with_the_hold_and_does_nothing_twice(overlapping: bool) -> None:
    wanted, took = await uninterrupted()
    async with shop(plan=HELD) as world:
        old = world.processes[0]
        if overlapping:
            world.spawn("new")
        world.release(GOOD)
        began = world.sim.memory.clock.now()
        await world.until(lambda: any("50 %" in line for line in world.notes()))
        await world.passed(20)
        await old.stop()
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []
        assert actions(world) == wanted
        assert world.sim.memory.clock.now() - began <= took + 10, "the hold went on where it was"


async def test_looks_go_on_within_an_interval() -> None:
    async with shop(plan=HELD) as world:
        world.spawn("new")
        world.release(GOOD)
        await world.until(lambda: any("50 %" in line for line in world.notes()))
        await world.passed(20)
        await world.processes[0].stop()
        before = world.sim.memory.metrics.asked
        began = world.sim.memory.clock.now()
        await world.until(lambda: world.sim.memory.metrics.asked > before, limit=30)
        assert world.sim.memory.clock.now() - began <= 2 * INTERVAL, "no look is missed by more than one interval"
