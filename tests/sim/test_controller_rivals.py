"""Two plans on one target: the oldest acts, the other is stalled and says why, and takes over when the first goes."""

from __future__ import annotations

import pytest

from rollout.decide.reason import Reason
from rollout.plan.base import HOLD_LABEL, Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, EVENT
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import BAD, GOOD, plan
from tests.sim.test_controller_deletions import at_each_write, versions

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
LONG = plan(steps=[{"weight": 50, "hold": "30s"}])
OLD = "shop/web:1.0"
ENDS = ("Idle", *(str(phase) for phase in Phase if phase.ended))


def rival(name: str = "again") -> Json:
    """Another plan with the same target."""
    return SHORT | {"metadata": {"name": name, "namespace": "shop"}}


async def joined(world: Controlled, name: str = "again") -> None:
    """The other plan has come, a while after the first, and waits."""
    await world.passed(2)  # ages have whole seconds
    world.commit(rival(name))
    await world.until(lambda: stalled(world, name))


def status(world: Controlled, name: str = "again") -> Json:
    """What the plan of this name says of itself."""
    found: Json = world.sim.memory.get(CANARY_PLAN, name).get("status") or {}
    return found


def stalled(world: Controlled, name: str = "again") -> bool:
    """Whether the plan waits for an older one, and says so."""
    conditions = {c["type"]: c for c in status(world, name).get("conditions", [])}
    return (
        status(world, name).get("reason") == Reason.ANOTHER_PLAN
        and conditions["Stalled"]["status"] == "True"
        and conditions["Ready"]["status"] == "False"
        and "plan web is older and has the same target" in conditions["Stalled"]["message"]
    )


def held_for(world: Controlled) -> str:
    """The plan that the Deployment's next versions are held for."""
    labels = world.sim.memory.get(DEPLOYMENT, "web")["metadata"].get("labels") or {}
    return str(labels.get(HOLD_LABEL, ""))


def events(world: Controlled) -> list[str]:
    """What was told of holds that ended."""
    found = [obj for ref, obj in world.sim.memory.objects if ref.kind == EVENT]
    return [obj["note"] for obj in found if obj["reason"] == Reason.HOLD_ENDED]


def plans_that_ran(world: Controlled) -> list[str]:
    return [run["spec"]["plan"] for run in world.runs()]


async def test_the_younger_plan_is_stalled_and_the_older_one_goes_on() -> None:
    async with shop(plan=SHORT) as world:
        await joined(world)
        assert world.phase() == "Idle"
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        await world.passed(40)
        assert (stalled(world), plans_that_ran(world)) == (True, ["web"])
        assert world.wrong(promoted=True) == []


async def test_a_plan_that_comes_in_mid_run_disturbs_nothing() -> None:
    async with shop(plan=SHORT) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.PROGRESSING)
        await joined(world, "a-first-in-the-alphabet")
        await world.until(world.ended(Phase.SUCCEEDED))
        await world.passed(40)
        assert (stalled(world, "a-first-in-the-alphabet"), plans_that_ran(world)) == (True, ["web"])
        assert world.wrong(promoted=True) == []


async def test_the_younger_plan_takes_over_when_the_older_one_is_deleted() -> None:
    async with shop(plan=SHORT) as world:
        await joined(world)
        world.sim.memory.delete(CANARY_PLAN, "web")
        await world.until(lambda: status(world)["phase"] == "Idle")
        await world.passed(10)
        assert held_for(world) == "again"
        world.release(GOOD)
        await world.until(lambda: status(world)["phase"] == Phase.SUCCEEDED)
        await world.passed(40)
        assert plans_that_ran(world) == ["again"]
        assert world.wrong(promoted=True) == []


async def test_what_the_older_plan_rejected_stays_held_and_is_tried_by_the_younger() -> None:
    async with shop(plan=SHORT, image=BAD) as world:
        await joined(world)
        world.release(BAD)
        await world.until(world.ended(Phase.ROLLED_BACK))
        world.sim.memory.behaviour(BAD, world.sim.memory.behaviours.of(GOOD))
        world.sim.memory.delete(CANARY_PLAN, "web")
        await world.until(lambda: status(world)["phase"] == Phase.SUCCEEDED)
        await world.passed(40)
        assert world.sim.at_rest(promoted=True) == []
        assert not world.sim.memory.get(DEPLOYMENT, "web")["spec"].get("paused"), "it was no pause of its owner"
        assert held_for(world) == "again"
        assert not events(world), "the hold goes on, and nobody is told otherwise"


async def test_a_plan_that_gets_another_target_lets_go_of_the_first() -> None:
    async with shop(plan=SHORT, image=BAD) as world:
        world.release(BAD)
        await world.until(world.ended(Phase.ROLLED_BACK))
        world.commit(SHORT | {"spec": SHORT["spec"] | {"target": {"name": "api"}}})
        await world.passed(20)
        assert (world.phase(), world.plan()["status"]["reason"]) == ("Pending", Reason.TARGET_GONE)
        assert (held_for(world), versions(world)) == ("", {OLD})
        (told,) = events(world)
        assert told.startswith("plan web has another target by now")
        assert "kubectl rollout resume deployment/web -n shop" in told


@pytest.mark.timeout(300)
@pytest.mark.parametrize("image", [GOOD, BAD], ids=["good", "bad"])
async def test_an_older_plan_deleted_at_any_write_goes_home_before_the_younger_begins(image: str) -> None:
    def delete(world: Controlled) -> None:
        world.sim.memory.delete(CANARY_PLAN, "web")

    async for world, number in at_each_write(delete, image, prepare=joined):
        await world.until(lambda: status(world).get("phase") in ENDS)  # noqa: B023 - in this round only
        await world.passed(60)
        assert versions(world) == ({GOOD} if image == GOOD else {OLD}), number
        assert [line for line in world.wrong() if "tried twice" not in line] == [], number
        assert held_for(world) == "again", number


async def test_the_younger_plan_waits_for_the_run_that_the_older_one_leaves_behind() -> None:
    """The older plan gets another target in mid-run: its run goes on with what it began with."""
    async with shop(plan=LONG) as world:
        await joined(world)
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.PROGRESSING)
        world.commit(LONG | {"spec": LONG["spec"] | {"target": {"name": "api"}}})
        await world.until(lambda: status(world)["phase"] == "Pending")
        name = world.runs()[0]["metadata"]["name"]
        assert status(world)["message"] == f"run {name} of plan web is under way on the same target; it ends first"
        await world.until(lambda: world.runs()[0]["status"]["phase"] == Phase.SUCCEEDED)
        await world.until(lambda: status(world)["phase"] == "Idle", limit=7)
        await world.passed(20)
        assert (held_for(world), plans_that_ran(world)) == ("again", ["web"])
        assert world.wrong(promoted=True) == []
