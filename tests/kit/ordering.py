"""Scenes in the simulated shop in which somebody orders: begin a run, drive it to a moment, and order."""

from __future__ import annotations

from collections.abc import Callable

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.plan.run import Phase
from tests.kit.scenes import at_weight
from tests.kit.sim import GOOD, Sim, plan

APPROVAL = plan(steps=[{"weight": 20}, {"approve": {"within": "2m"}}, {"weight": 50}])
"""A plan that asks a person after its first step."""
HOLDS = plan(analysis=plan()["spec"]["analysis"] | {"onFailure": "hold"})
"""A plan whose steps are held when a gate fails."""


async def begin(sim: Sim, engine: Foreground) -> RunView:
    """Start the version that is to be tried."""
    return await engine.start(sim.plan, images={"app": sim.image}, by="ana")


async def until(engine: Foreground, view: RunView, true: Callable[[RunView], bool]) -> RunView:
    """Drive until something is true."""
    view = await engine.drive("shop", view.name, lambda _: None, until=true)
    assert true(view), (view.state.phase, view.state.message)
    return view


async def phase_is(engine: Foreground, view: RunView, phase: Phase) -> RunView:
    """Drive to this phase."""
    return await until(engine, view, lambda v: v.state.phase is phase)


async def order(engine: Foreground, view: RunView, verb: str, *, full: bool = False) -> None:
    """Write an order; it is obeyed when the engine is driven on."""
    await engine.order("shop", view.name, verb, by="ana", reason="because", full=full)


def passes(sim: Sim, seconds: float) -> Callable[[RunView], bool]:
    """So many simulated seconds are over, from now on."""
    end = sim.memory.clock.now() + seconds
    return lambda view: view.now >= end


async def waits_as(sim: Sim, engine: Foreground, phase: Phase) -> RunView:
    """A run with traffic on its candidate, in this phase."""
    view = await until(engine, await begin(sim, engine), at_weight(20))
    match phase:
        case Phase.PAUSED:
            await order(engine, view, "pause")
        case Phase.HELD:
            sim.memory.behaviour(GOOD, Behaviour(error_rate=0.4))
        case Phase.HOLDING:
            sim.memory.metrics.fault = "outage"
    return await phase_is(engine, view, phase)
