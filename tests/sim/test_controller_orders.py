"""PlanDecision objects under the controller: in a run and after its end, from people and from Git."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, PLAN_DECISION
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import BAD, GOOD, plan
from tests.sim.test_controller_deletions import versions

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
APPROVAL = plan(steps=[{"weight": 20}, {"approve": {"within": "10m"}}, {"weight": 50}])
OLD, NEXT = "shop/web:1.0", "shop/web:1.3"


def told(world: Controlled, reason: Reason) -> list[str]:
    return [line for line in world.notes() if line.startswith(f"{reason}:")]


def asked(world: Controlled) -> str:
    """The image that the Deployment asks for."""
    web: Json = world.sim.memory.get(DEPLOYMENT, "web")
    return str(web["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_promote_lets_a_run_go_on_that_waits_for_approval() -> None:
    async with shop(plan=APPROVAL) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        await world.passed(60)
        assert world.run_phase() == Phase.AWAITING_APPROVAL
        world.order("promote")
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []


async def test_promote_in_full_skips_what_is_left() -> None:
    async with shop(plan=APPROVAL) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        world.order("promote", full=True)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert not any("50 %" in line for line in world.notes())
        assert world.wrong(promoted=True) == []


async def test_abort_goes_home_and_what_is_held_stays_held() -> None:
    async with shop(plan=APPROVAL) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        world.order("abort")
        await world.until(world.ended(Phase.ABORTED))
        await world.passed(60)
        assert world.sim.memory.get(DEPLOYMENT, "web")["spec"]["paused"] is True
        assert world.wrong(promoted=False) == []


async def test_pause_and_resume() -> None:
    async with shop(plan=SHORT) as world:
        world.release(GOOD)
        await world.until(lambda: any("50 %" in line for line in world.notes()))
        world.order("pause")
        await world.until(lambda: world.phase() == Phase.PAUSED)
        await world.passed(300)
        assert world.phase() == Phase.PAUSED
        world.order("resume")
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []


async def test_skip_lets_a_long_hold_pass() -> None:
    async with shop(plan=plan(steps=[{"weight": 50, "hold": "1h", "deadline": "2h"}])) as world:
        world.release(GOOD)
        await world.until(lambda: any("50 %" in line for line in world.notes()))
        await world.passed(20)
        world.order("skip")
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []


@pytest.mark.parametrize("verb", ["promote", "abort", "pause", "resume", "skip"])
async def test_an_order_for_a_run_that_has_ended_is_refused_once_with_a_note(verb: str) -> None:
    async with shop(plan=SHORT) as world:
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        world.order(verb)
        await world.passed(60)
        assert len(told(world, Reason.DECISION_REFUSED)) == 1
        assert "has ended" in told(world, Reason.DECISION_REFUSED)[0]
        assert (world.phase(), len(world.runs())) == (Phase.SUCCEEDED, 1)
        assert world.wrong(promoted=True) == []


async def test_an_order_kept_in_git_does_nothing_to_the_next_run() -> None:
    async with shop(plan=APPROVAL) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        kept = world.order("promote", "kept-in-git")
        await world.until(world.ended(Phase.SUCCEEDED))
        world.sim.image = NEXT
        world.release(NEXT)
        await world.until(lambda: world.run_phase() == Phase.AWAITING_APPROVAL)
        world.sim.memory.delete(PLAN_DECISION, "kept-in-git")
        world.sim.memory.apply({key: kept[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": meta(kept)})
        await world.passed(60)
        assert world.run_phase() == Phase.AWAITING_APPROVAL


def meta(obj: Json) -> Json:
    return {key: obj["metadata"][key] for key in ("name", "namespace")}


async def rejected(world: Controlled) -> None:
    """A bad version was rolled back, and has become a good one, as when a database comes back."""
    world.release(BAD)
    await world.until(world.ended(Phase.ROLLED_BACK))
    world.sim.memory.behaviour(BAD, world.sim.memory.behaviours.of(GOOD))


async def test_retry_starts_exactly_one_new_run() -> None:
    async with shop(image=BAD, plan=SHORT) as world:
        await rejected(world)
        kept = world.order("retry", "again")
        await world.until(world.ended(Phase.SUCCEEDED))
        world.sim.memory.delete(PLAN_DECISION, "again")
        world.sim.memory.apply({key: kept[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": meta(kept)})
        await world.passed(60)
        assert len(world.runs()) == 2
        assert world.sim.at_rest(promoted=True) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST_AFTER])
async def test_a_retry_with_a_fault_at_any_write_starts_exactly_one_new_run(fault: Fault) -> None:
    number = 0
    while True:
        number += 1
        async with shop(image=BAD, plan=SHORT) as world:
            await rejected(world)
            process = world.processes[0]
            process.faulty.plan = FaultPlan(at_write={process.faulty.writes + number: fault})
            world.order("retry")
            await world.until(world.ended(Phase.SUCCEEDED))
            await world.passed(10)
            assert (len(world.runs()), world.sim.at_rest(promoted=True)) == (2, []), f"{fault} at write {number}"
            if not process.faulty.met:
                return


async def test_a_retry_of_what_is_not_asked_for_any_more_is_refused_and_never_fires_later() -> None:
    async with shop(image=BAD, plan=SHORT) as world:
        await rejected(world)
        world.release(OLD)
        await world.passed(10)
        world.order("retry")
        await world.until(lambda: bool(told(world, Reason.DECISION_REFUSED)), limit=10)
        assert "does not ask for the version of this run any more" in told(world, Reason.DECISION_REFUSED)[0]
        world.release(BAD)
        await world.passed(60)
        assert (len(world.runs()), world.phase(), told(world, Reason.RETRIED)) == (1, Phase.ROLLED_BACK, [])
        world.order("retry")
        await world.until(world.ended(Phase.SUCCEEDED))


async def promoted(world: Controlled) -> None:
    world.release(GOOD)
    await world.until(world.ended(Phase.SUCCEEDED))
    world.sim.image = OLD


def back(world: Controlled) -> bool:
    """Whether the earlier version runs, and nothing is under way."""
    ends = all((run.get("status") or {}).get("endedAt") for run in world.runs())
    return len(world.runs()) == 2 and ends and versions(world) == {OLD} and asked(world) == OLD


async def test_undo_goes_back_with_one_quick_run_and_a_git_that_re_applies_starts_nothing() -> None:
    async with shop(plan=SHORT) as world:
        await promoted(world)
        world.order("undo")
        await world.until(lambda: back(world))
        await world.passed(10)
        assert world.wrong(promoted=True) == [], "the image that is wanted is the old one"
        world.release(GOOD)
        await world.passed(90)
        assert (len(world.runs()), versions(world)) == (2, {OLD})
        assert "handoff" in world.plan()["status"]["message"]
        world.sim.image = NEXT
        world.release(NEXT)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert (len(world.runs()), versions(world)) == (3, {NEXT})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST_AFTER])
async def test_an_undo_with_a_fault_at_any_write_goes_back_once(fault: Fault) -> None:
    number = 0
    while True:
        number += 1
        async with shop(plan=SHORT) as world:
            await promoted(world)
            process = world.processes[0]
            process.faulty.plan = FaultPlan(at_write={process.faulty.writes + number: fault})
            world.order("undo")
            await world.until(lambda: back(world), limit=200)
            await world.passed(30)
            assert (len(world.runs()), world.wrong(promoted=True)) == (2, []), f"{fault} at write {number}"
            assert world.phase() == Phase.SUCCEEDED, f"{fault} at write {number}"
            if not process.faulty.met:
                return


async def test_undo_of_what_was_rolled_back_lets_go_of_the_rejected_version() -> None:
    async with shop(image=BAD, plan=SHORT) as world:
        world.release(BAD)
        await world.until(world.ended(Phase.ROLLED_BACK))
        world.sim.image = OLD
        world.order("undo")
        await world.until(lambda: asked(world) == OLD)
        await world.passed(60)
        assert not world.sim.memory.get(DEPLOYMENT, "web")["spec"].get("paused")
        assert len(world.runs()) == 1
        assert world.sim.at_rest(promoted=True) == []
