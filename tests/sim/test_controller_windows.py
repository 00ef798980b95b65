"""The controller keeps to change windows and to a start that was set, and a plan that waits costs nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rollout.adapters.memory.behaviour import Behaviour
from rollout.decide.reason import Reason
from rollout.plan.base import rfc3339
from rollout.plan.kinds import CANARY_PLAN, Ref
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import GOOD, plan
from tests.kit.sim import Sim as Shop


def window(begins: float, duration: str) -> dict[str, Any]:
    """A daily window that begins so many seconds after the simulation does, at the full minute before."""
    start = datetime.fromtimestamp(Shop().memory.clock.now() + begins, UTC)
    return {"start": f"{start.minute} {start.hour} * * *", "duration": duration}


def opened(begins: float) -> float:
    """When that window really begins."""
    start = datetime.fromtimestamp(Shop().memory.clock.now() + begins, UTC)
    return (start - timedelta(seconds=start.second, microseconds=start.microsecond)).timestamp()


def reason(world: Controlled) -> str:
    return str((world.plan().get("status") or {}).get("reason", ""))


async def test_a_plan_waits_for_its_window_with_one_due_time_and_no_request() -> None:
    async with shop(plan=plan(windows={"allow": [window(600, "2h")]})) as world:
        world.release(GOOD)
        await world.until(lambda: reason(world) == Reason.OUTSIDE_WINDOW)
        assert (world.phase(), world.runs()) == ("Pending", [])
        await world.passed(60)
        process = world.processes[0]
        sent, due = len(process.link.sent), process.controller.due
        key = Ref(CANARY_PLAN, "shop", "web")
        await world.passed(200)
        leases = [it for it in process.link.sent[sent:] if "lease" not in str(it).lower()]
        assert leases == []
        assert due._at[key] - process.controller.clock.monotonic() > 100
        await world.until(world.ended(Phase.SUCCEEDED), 900)
        assert world.sim.memory.clock.now() >= opened(600)
        assert world.wrong(promoted=True) == []


async def test_a_window_that_closes_keeps_a_run_at_its_weight_until_it_opens_again() -> None:
    slow = {"hold": "10m", "interval": "5s", "deadline": "15m"}
    spec = plan(windows={"deny": [window(300, "15m")]})
    spec["spec"]["analysis"] |= slow
    async with shop(plan=spec) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.HOLDING, 600)
        assert reason(world) == Reason.OUTSIDE_WINDOW
        await world.passed(300)
        assert world.plan()["status"]["weight"] == 10.0
        for process in world.processes:
            await process.kill()  # its successor derives the rest from the cluster
        await world.until(world.ended(Phase.SUCCEEDED), 2400)
        assert world.sim.memory.clock.now() >= opened(300) + 900
        assert world.wrong(promoted=True) == []


async def test_a_version_that_turns_bad_outside_of_its_windows_goes_home_at_once() -> None:
    spec = plan(windows={"deny": [window(120, "5h")]})
    spec["spec"]["analysis"] |= {"hold": "10m", "interval": "5s", "deadline": "15m"}
    async with shop(plan=spec) as world:
        world.release(GOOD)
        await world.until(lambda: reason(world) == Reason.OUTSIDE_WINDOW, 600)
        world.sim.memory.behaviour(GOOD, Behaviour(error_rate=0.3))
        await world.until(world.ended(Phase.ROLLED_BACK), 600)
        assert world.wrong(promoted=False) == []


async def test_a_start_that_was_set_is_kept() -> None:
    start = Shop().memory.clock.now() + 900
    async with shop(plan=plan(startAt=rfc3339(start))) as world:
        world.release(GOOD)
        await world.until(lambda: reason(world) == Reason.SCHEDULED)
        assert world.runs() == []
        await world.until(lambda: bool(world.runs()), 1000)
        assert world.sim.memory.clock.now() >= int(start)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []
