"""A tool that writes the user's VirtualService again and again: faster than it settles, the run says so and waits."""

from __future__ import annotations

from collections.abc import Callable

from rollout.decide.reason import Reason
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import GOOD, VS, plan

SETTLE = plan(steps=[{"weight": 50, "hold": "20s"}], router={"type": "istio", "settle": "2s"})


def writer(world: Controlled, every: float) -> Callable[[], None]:
    """Begins to write every so many seconds; what is returned ends it."""
    going = True
    last = world.sim.memory.clock.now()

    def each() -> None:
        nonlocal last
        now = world.sim.memory.clock.now()
        if going and now - last >= every:
            last = now
            world.sim.memory.replace(VS)

    def end() -> None:
        nonlocal going
        going = False

    world.sim.memory.clock.each_second(each)
    return end


def drifts(world: Controlled) -> list[str]:
    return [line for line in world.notes() if line.startswith(f"{Reason.DRIFT}:")]


async def test_a_writer_that_lets_the_routes_settle_does_not_stop_the_run() -> None:
    async with shop(own_routes=True, plan=SETTLE) as world:
        world.sim.may_leak = True
        end = writer(world, 5.0)
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        end()
        assert 1 <= len(drifts(world)) <= 10
        world.sim.memory.replace(VS)
        assert world.wrong(promoted=True) == []


async def test_a_writer_that_never_lets_them_settle_holds_the_run_which_goes_on_when_he_stops() -> None:
    async with shop(own_routes=True, plan=SETTLE) as world:
        world.sim.may_leak = True
        end = writer(world, 2.0)
        world.release(GOOD)
        await world.until(lambda: world.plan()["status"]["reason"] == Reason.DRIFT, limit=60)
        assert world.phase() == Phase.HOLDING
        assert "writes it again at least every 3 s" in world.plan()["status"]["message"]
        before = len(drifts(world))
        sent = len(world.processes[0].link.sent)
        await world.passed(60)
        assert world.phase() == Phase.HOLDING
        assert len(drifts(world)) - before <= 1, "it is not told again and again"
        assert len(world.processes[0].link.sent) - sent <= 60, "a try every ten seconds, with its records"
        end()
        await world.until(world.ended(Phase.SUCCEEDED), limit=200)
        assert world.wrong(promoted=True) == []
