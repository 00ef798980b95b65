"""Stable breaks in the simulated shop: before an order to fix forward, after it, and while the run waits."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.kinds import DEPLOYMENT, Ref
from rollout.plan.run import Phase
from tests.kit.ordering import APPROVAL, begin, order, passes, phase_is, until, waits_as
from tests.kit.scenes import STABLE, OnTurn, at_weight, once, reasons, running
from tests.kit.sim import GOOD, Sim, plan

CANARY = Ref(DEPLOYMENT, "shop", "web-canary")


def breaks(sim: Sim) -> None:
    """No pod of stable is ready any more, and none will be."""
    sim.stable_pods.clear()
    sim.may_leak = True
    sim.memory.behaviour(STABLE, Behaviour(unschedulable_after=0))
    for name in sim.pods(canary=False):
        sim.memory.kill_pod(name)


def answered(sim: Sim, each: OnTurn = lambda _: None) -> OnTurn:
    """From five seconds after now on, nothing is dropped."""
    began, before = sim.memory.clock.now(), -1

    def turn(view: RunView) -> None:
        nonlocal before
        each(view)
        if view.now > began + 5:
            dropped = sim.memory.traffic.ledger.dropped
            assert before in (-1, dropped), f"{dropped - before} requests were dropped in {view.state.phase}"
            before = dropped

    return turn


@pytest.mark.parametrize("mode", ["shift", "native"])
@pytest.mark.parametrize("weight", [10.0, 50.0])
async def test_a_fix_forward_after_stable_broke(weight: float, mode: str) -> None:
    """The usual order of things: stable dies, the plain Service takes over, a person wants the new version."""
    sim = Sim(own_routes=True, plan=plan(promotion={"mode": mode}))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(weight))
    breaks(sim)
    view = await until(engine, view, passes(sim, 60))
    assert (view.state.phase, view.state.reason) == (Phase.ROLLING_BACK, Reason.PIN_LOST)
    assert sim.memory.objects.get(CANARY) is not None
    await order(engine, view, "promote", full=True)
    view = await engine.drive("shop", view.name, answered(sim))
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert running(sim) == {GOOD}
    sim.memory.traffic.fresh_ledger()
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("weight", [10.0, 50.0])
async def test_a_stable_that_breaks_after_the_order_does_not_stop_it(weight: float) -> None:
    sim = Sim(own_routes=True)
    sim.memory.behaviour(GOOD, Behaviour(start_seconds=5))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(weight))
    await order(engine, view, "promote", full=True)
    view = await until(engine, view, lambda v: v.state.full)
    breaks(sim)
    view = await engine.drive("shop", view.name, answered(sim))
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert Reason.PIN_LOST not in reasons(view)
    assert running(sim) == {GOOD}


async def test_a_fix_forward_begins_with_stable_down_and_serves_as_soon_as_a_pod_is_ready() -> None:
    sim = Sim(own_routes=True)
    engine = sim.engine()
    view = await begin(sim, engine)
    breaks(sim)
    sim.memory.run(3)
    view = await phase_is(engine, view, Phase.HOLDING)
    assert view.state.reason == Reason.STABLE_NOT_READY
    await order(engine, view, "promote", full=True)
    view = await until(engine, view, lambda _: bool(sim.memory.ready_pods(app="web")))
    view = await engine.drive("shop", view.name, answered(sim))
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert running(sim) == {GOOD}


async def test_with_all_requests_on_the_candidate_a_stable_that_breaks_changes_nothing() -> None:
    sim = Sim(own_routes=True, plan=plan(promotion={"bake": "60s"}))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(100))
    breaks(sim)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert sim.memory.traffic.ledger.dropped == 0
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.AWAITING_APPROVAL, Phase.HOLDING])
async def test_whatever_it_waits_for_a_lost_stable_leaves_the_candidate_serving_until_it_is_back(phase: Phase) -> None:
    sim = Sim(own_routes=True, plan=plan(steps=APPROVAL["spec"]["steps"]))
    engine = sim.engine()
    view = await waits_as(sim, engine, phase)
    sim.memory.metrics.fault = None
    breaks(sim)
    heal = once(
        passes(sim, 90),
        lambda: sim.memory.behaviour(STABLE, Behaviour()),
    )
    view = await engine.drive("shop", view.name, answered(sim, heal))
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.PIN_LOST)
    assert running(sim) == {STABLE}
    sim.memory.traffic.fresh_ledger()
    assert sim.at_rest(promoted=False) == []
