"""Late and blind watches, an API server and metrics that are away: nothing is lost, nobody goes back because of it."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.watch import WatchPlan
from rollout.decide.reason import Reason
from rollout.errors import Forbidden
from rollout.plan.kinds import CANARY_PLAN, Ref
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, Process, shop
from tests.kit.sim import BAD, GOOD, Sim, plan

STEPS = plan(steps=[{"weight": 20, "hold": "20s"}, {"weight": 50, "hold": "20s"}])
MOMENTS = [2, 5, 8, 12, 20, 30, 40, 50, 58, 62, 66]
"""Seconds after the new image came; the run takes about 70."""
POOR = {
    "late": WatchPlan(late=3.0),
    "twice": WatchPlan(twice=0.5),
    "blind": WatchPlan(breaks=0.03, spell=20.0),
    "everything": WatchPlan(late=2.0, twice=0.2, breaks=0.02, spell=10.0, forgets=0.5),
}


def cut(process: Process) -> None:
    process.link.cut = True
    process.watcher.blind()


def mend(process: Process) -> None:
    process.link.cut = False
    process.watcher.see()


async def ends(world: Controlled, image: str) -> None:
    await world.until(world.ended(Phase.SUCCEEDED if image == GOOD else Phase.ROLLED_BACK), limit=900)
    assert world.wrong(promoted=image == GOOD) == []


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_api_server_that_is_away_for_a_minute_changes_nothing_of_the_end(moment: int) -> None:
    async with shop(plan=STEPS) as world:
        process = world.processes[0]
        world.release(GOOD)
        await world.passed(moment)
        cut(process)
        await world.passed(60)
        mend(process)
        await ends(world, GOOD)


@pytest.mark.parametrize("moment", MOMENTS[::2])
async def test_two_controllers_and_an_api_server_that_is_away(moment: int) -> None:
    async with shop(plan=STEPS) as world:
        world.spawn("second")
        world.release(GOOD)
        await world.passed(moment)
        for process in world.processes:
            cut(process)
        await world.passed(60)
        for process in reversed(world.processes):
            mend(process)
        await ends(world, GOOD)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_metrics_that_are_away_for_two_minutes_hold_and_never_roll_back(moment: int) -> None:
    async with shop(plan=STEPS) as world:
        world.release(GOOD)
        await world.passed(moment)
        world.sim.memory.metrics.fault = "outage"
        await world.passed(120)
        if 8 < moment < 50:
            assert (world.run_phase(), world.plan()["status"]["reason"]) == (Phase.HOLDING, Reason.METRICS_UNAVAILABLE)
        world.sim.memory.metrics.fault = None
        await ends(world, GOOD)


@pytest.mark.parametrize("image", [GOOD, BAD], ids=["good", "bad"])
@pytest.mark.parametrize("what", list(POOR))
@pytest.mark.parametrize("seed", range(3))
async def test_poor_watches_change_nothing_of_the_end(seed: int, what: str, image: str) -> None:
    poor = POOR[what]
    seen = WatchPlan(poor.late, poor.twice, poor.breaks, poor.spell, poor.forgets, seed)
    async with shop(seen=seen, seed=seed, image=image, own_routes=seed % 2 == 1) as world:
        world.release(image)
        await ends(world, image)


@pytest.mark.parametrize("moment", MOMENTS[::2])
async def test_a_list_anew_at_any_moment_changes_nothing(moment: int) -> None:
    async with shop(plan=STEPS) as world:
        world.release(GOOD)
        await world.passed(moment)
        world.processes[0].watcher.blind()
        await world.passed(5)
        world.processes[0].watcher.see(relist=True)
        await ends(world, GOOD)


async def test_a_plan_whose_turns_failed_for_hours_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power of two grows beyond all numbers, and the plan must not be forgotten with it."""
    world = Controlled(Sim(plan=plan()))
    world.commit()
    process = world.spawn("a")
    process.controller._failures[Ref(CANARY_PLAN, "shop", "web")] = 5000

    async def refused(*_: object) -> float:
        raise Forbidden("no right")

    with monkeypatch.context() as during:
        during.setattr(type(process.controller.plans), "turn", refused)
        await world.passed(60)
        assert world.phase() == ""
    await world.passed(60)
    assert world.phase() == "Idle"
    await world.close()


async def test_who_has_not_seen_everything_leaves_the_lead_to_another() -> None:
    world = Controlled(Sim(plan=plan()))
    world.commit()
    blind = world.spawn("a")
    await blind.deafen()
    await world.passed(5)
    sees = world.spawn("b")
    await world.passed(30)
    assert (blind.controller.leader.leading, sees.controller.leader.leading) == (False, True)
    assert world.phase() == "Idle"
    await world.close()
