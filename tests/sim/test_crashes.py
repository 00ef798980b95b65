"""Killed after every single write, exhaustively: another engine goes on, and the end is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.plan.run import Phase
from tests.kit.shapes import blue_green, matched, mirrored, native, paused, traffic_only
from tests.kit.sim import BAD, GOOD, Sim

STORIES = [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)]


async def writes_of(sim: Sim) -> int:
    """How many writes a run without faults takes."""
    cluster = FaultyCluster(sim.memory.cluster, FaultPlan())
    await sim.run(sim.engine(cluster))
    return cluster.writes


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LOST_AFTER])
@pytest.mark.parametrize("story", [blue_green, matched, mirrored, native, paused, traffic_only])
@pytest.mark.parametrize(("image", "outcome"), STORIES)
async def test_other_kinds_of_runs_killed_at_every_write(
    image: str, outcome: Phase, story: Callable[[str], Sim], fault: Fault
) -> None:
    total = await writes_of(story(image))
    assert total > 8
    promoted = outcome is Phase.SUCCEEDED
    for number in range(1, total + 1):
        sim = story(image)
        view = await sim.survive(FaultPlan(at_write={number: fault}))
        assert (number, view.state.phase, sim.at_rest(promoted=promoted)) == (number, outcome, [])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.CRASH_BEFORE, Fault.LOST_AFTER, Fault.DUPLICATE])
@pytest.mark.parametrize("own_routes", [False, True])
@pytest.mark.parametrize(("image", "outcome"), STORIES)
async def test_killed_at_every_write(image: str, outcome: Phase, own_routes: bool, fault: Fault) -> None:
    total = await writes_of(Sim(own_routes=own_routes, image=image))
    assert total > 15
    for number in range(1, total + 1):
        sim = Sim(own_routes=own_routes, image=image)
        view = await sim.survive(FaultPlan(at_write={number: fault}))
        wrong = sim.at_rest(promoted=outcome is Phase.SUCCEEDED)
        assert (number, view.state.phase, wrong) == (number, outcome, [])
