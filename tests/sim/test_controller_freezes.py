"""A freeze of the cluster: what is under way stays, nothing begins, and all goes on when it is over."""

from __future__ import annotations

from typing import Any

from rollout.adapters.memory.behaviour import Behaviour
from rollout.decide.reason import Reason
from rollout.plan.base import Json, rfc3339
from rollout.plan.kinds import CANARY_PLAN, CHANGE_FREEZE, Ref
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.scenes import play
from tests.kit.sim import GOOD, Sim, plan

SLOW = {"hold": "10m", "interval": "5s", "deadline": "15m"}


def freeze(**spec: Any) -> Json:
    body = {"reason": "launch day", **spec}
    kind = CHANGE_FREEZE
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "launch"}, "spec": body}


def slow() -> Json:
    written = plan()
    written["spec"]["analysis"] |= SLOW
    return written


def declared(sim: Sim, **spec: Any) -> None:
    """An administrator declares a freeze."""
    sim.kinds |= {CHANGE_FREEZE}
    sim.memory.apply(freeze(**spec))


def status(world: Controlled) -> Json:
    found: Json = world.plan().get("status") or {}
    return found


def reason(world: Controlled) -> str:
    return str(status(world).get("reason", ""))


async def test_a_run_under_way_stays_at_its_weight_until_the_freeze_is_lifted() -> None:
    async with shop(plan=slow()) as world:
        world.release(GOOD)
        await world.until(lambda: status(world).get("weight") == 10.0, 600)
        declared(world.sim, namespaces=["shop"])
        await world.until(lambda: reason(world) == Reason.FROZEN, 60)
        assert status(world)["message"] == "frozen by ChangeFreeze/launch until it is deleted: launch day"
        for process in world.processes:
            await process.kill()  # its successor derives the rest from the cluster
        await world.passed(1500)  # longer than the step's hold and its deadline
        assert (status(world)["weight"], world.run_phase()) == (10.0, Phase.HOLDING)
        world.sim.memory.delete(CHANGE_FREEZE, "launch")
        await world.until(lambda: reason(world) != Reason.FROZEN, 30)
        await world.until(world.ended(Phase.SUCCEEDED), 2400)
        assert world.wrong(promoted=True) == []


async def test_none_begins_and_a_plan_that_waits_costs_nothing() -> None:
    async with shop(plan=plan()) as world:
        declared(world.sim, until=rfc3339(world.sim.memory.clock.now() + 900))
        world.release(GOOD)
        await world.until(lambda: reason(world) == Reason.FROZEN)
        assert (world.phase(), world.runs()) == ("Pending", [])
        process = world.processes[0]
        sent, due = len(process.link.sent), process.controller.due
        await world.passed(300)
        assert [it for it in process.link.sent[sent:] if "lease" not in str(it).lower()] == []
        assert due._at[Ref(CANARY_PLAN, "shop", "web")] - process.controller.clock.monotonic() > 100
        await world.until(world.ended(Phase.SUCCEEDED), 1500)
        assert world.wrong(promoted=True) == []


async def test_a_freeze_of_others_is_none_of_its_business() -> None:
    async with shop(plan=plan()) as world:
        declared(world.sim, namespaces=["pay", "team-*"])
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED), 900)
        assert world.wrong(promoted=True) == []


async def test_a_version_that_turns_bad_in_a_freeze_goes_home_at_once() -> None:
    async with shop(plan=slow()) as world:
        world.release(GOOD)
        await world.until(lambda: status(world).get("weight") == 10.0, 600)
        declared(world.sim)
        await world.until(lambda: reason(world) == Reason.FROZEN, 60)
        world.sim.memory.behaviour(GOOD, Behaviour(error_rate=0.3))
        await world.until(world.ended(Phase.ROLLED_BACK), 600)
        assert world.wrong(promoted=False) == []


async def test_a_terminal_keeps_to_it_as_well() -> None:
    sim = Sim(plan=plan(), image=GOOD)
    ends = sim.memory.clock.now() + 900
    declared(sim, until=rfc3339(ends))
    view = await play(sim)
    assert view.state.phase is Phase.SUCCEEDED
    assert view.now >= ends
    assert sim.at_rest(promoted=True) == []


async def test_who_may_not_see_freezes_is_not_stopped_by_them() -> None:
    """Nor by a cluster whose administrator has not brought the kind yet."""
    sim = Sim(plan=plan(), image=GOOD)
    sim.memory.cluster.server.unserved.add(CHANGE_FREEZE)
    view = await play(sim)
    assert view.state.phase is Phase.SUCCEEDED
