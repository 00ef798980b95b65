"""A gate that holds stops a run, and while a person is waited for the others look on."""

from __future__ import annotations

from typing import Any

from rollout.adapters.memory.behaviour import Behaviour
from rollout.decide.reason import Reason
from rollout.plan.run import Phase
from tests.kit.controlled import shop
from tests.kit.sim import GOOD

GATES: list[dict[str, Any]] = [
    {"name": "success", "metric": "success", "min": "99%", "minRequests": 10},
    {"name": "depth", "query": "max(depth)", "max": 5, "failures": 1, "onFailure": "hold"},
]


async def test_a_run_that_one_gate_holds_is_taken_back_by_another() -> None:
    async with shop() as world:
        world.sim.plan["spec"]["analysis"]["gates"] = GATES
        world.sim.memory.metrics.set_scalar("max(depth)", 9.0)
        world.commit()
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.HELD)
        await world.passed(120)
        assert world.run_phase() == Phase.HELD, "nothing else is wrong"
        world.sim.memory.behaviour(GOOD, Behaviour(error_rate=0.5))
        await world.until(lambda: world.run_phase() == Phase.ROLLED_BACK)
        assert any(it.startswith(f"{Reason.GATE_FAILED}: success was") for it in world.notes())
        assert world.wrong(promoted=False) == []
