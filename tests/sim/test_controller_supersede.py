"""A newer revision comes in mid-run: traffic goes home first, then it has a run of its own, whatever the run was at."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.decide.reason import Reason
from rollout.plan.base import RUN_LABEL
from rollout.plan.kinds import LEASE, PLAN_RUN, Ref
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import BAD, GOOD, plan
from tests.sim.test_controller_deletions import at_each_write, versions

NEXT = "shop/web:1.3"
STEPS = plan(steps=[{"weight": 20}, {"approve": {"within": "10m"}}, {"weight": 50}])


@dataclass
class Births:
    """What was left of other runs whenever a run was made."""

    world: Controlled
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.sim.memory.objects.watchers.append(self._see)
        self._known = {run["metadata"]["uid"] for run in self.world.runs()}

    def _see(self, ref: Ref) -> None:
        found = self.world.sim.memory.objects.get(ref) if ref.kind == PLAN_RUN else None
        if found is None or found["metadata"]["uid"] in self._known:
            return
        self._known.add(found["metadata"]["uid"])
        self.left += [
            f"{other} when {ref} came"
            for other, obj in self.world.sim.memory.objects
            if other.kind != LEASE and RUN_LABEL in (obj["metadata"].get("labels") or {})
        ]


async def preparing(world: Controlled) -> None:
    world.sim.memory.behaviour(GOOD, Behaviour(start_seconds=20))
    world.release(GOOD)
    await world.until(lambda: bool(world.sim.pods(canary=True)))


async def holding(world: Controlled) -> None:
    world.release(GOOD)
    await world.until(lambda: world.run_phase() == Phase.PROGRESSING)
    world.sim.memory.metrics.fault = "outage"
    await world.until(lambda: world.run_phase() == Phase.HOLDING)


async def awaiting(world: Controlled) -> None:
    world.release(GOOD)
    await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)


async def paused(world: Controlled) -> None:
    world.release(GOOD)
    await world.until(lambda: world.plan()["status"].get("weight") == 20)
    world.order("pause")
    await world.until(lambda: world.run_phase() == Phase.PAUSED)


async def going_home(world: Controlled) -> None:
    await awaiting(world)
    world.order("abort")
    await world.until(lambda: world.run_phase() == Phase.ROLLING_BACK)


AT = {
    "prepare": (preparing, Phase.SUPERSEDED),
    "holding": (holding, Phase.SUPERSEDED),
    "approval": (awaiting, Phase.SUPERSEDED),
    "paused": (paused, Phase.SUPERSEDED),
    "rolling back": (going_home, Phase.ABORTED),
}


@pytest.mark.parametrize("own_routes", [False, True], ids=["no routes", "own routes"])
@pytest.mark.parametrize("at", list(AT))
async def test_a_newer_revision_takes_the_traffic_home_and_has_its_own_run(at: str, own_routes: bool) -> None:
    begin, end = AT[at]
    async with shop(plan=STEPS, own_routes=own_routes) as world:
        births = Births(world)
        await begin(world)
        world.sim.image = NEXT
        world.release(NEXT)
        await world.until(lambda: world.run_phase() == end)
        world.sim.memory.metrics.fault = None  # whose outage forbids a start
        await world.until(lambda: len(world.runs()) == 2)
        status = world.runs()[0]["status"]
        assert (status["phase"], births.left) == (end, [])
        assert status["reason"] == (Reason.NEW_REVISION if end is Phase.SUPERSEDED else Reason.ABORT_ORDERED)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        world.order("promote", full=True)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert (world.wrong(promoted=True), len(world.runs())) == ([], 2)


SETTLED = (Phase.HELD, *(phase for phase in Phase if phase.ended))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("image", [GOOD, BAD], ids=["good", "bad"])
@pytest.mark.parametrize("stuck", ["abort", "take it out"])
async def test_a_newer_revision_at_any_write_ends_as_the_version_that_runs(image: str, stuck: str) -> None:
    """Past the commit point a person has to choose: the run is held, with the traffic where it is served."""

    def newer(world: Controlled) -> None:
        world.sim.image = NEXT
        world.release(NEXT)

    held = 0
    async for world, number in at_each_write(newer, image):
        births = Births(world)
        await world.until(lambda: world.run_phase() in SETTLED)  # noqa: B023 - called in this round only
        if world.run_phase() == Phase.HELD:
            held += 1
            await chooses(world, stuck)
            newer(world)  # Git goes on asking for it
        await world.until(lambda: world.ended(Phase.SUCCEEDED)() and versions(world) == {NEXT})  # noqa: B023 - as above
        await world.passed(40)
        assert (births.left, world.wrong(promoted=True)) == ([], []), number
    assert bool(held) is (image == GOOD)


async def chooses(world: Controlled, what: str) -> None:
    """What the message offers to who is asked."""
    assert "a newer revision came while this one was rolling" in world.plan()["status"]["message"]
    if what == "abort":
        world.order("abort")
        await world.until(world.ended(Phase.ABORTED))
        assert versions(world) == {"shop/web:1.0"}
    else:
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert versions(world) == {GOOD}
