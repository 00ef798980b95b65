"""A newer revision in the simulated shop, whatever the run waits for: the traffic goes home, and it has its own run."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.decide.reason import Reason
from rollout.plan.run import Phase
from tests.kit.ordering import APPROVAL, HOLDS, begin, order, passes, phase_is, until, waits_as
from tests.kit.sim import GOOD, Sim, plan

NEWER = "shop/web:1.3"


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PAUSED, Phase.AWAITING_APPROVAL, Phase.HELD, Phase.HOLDING])
async def test_a_newer_revision_takes_the_traffic_home_and_has_its_own_run(phase: Phase) -> None:
    sim = Sim(own_routes=True, plan=plan(steps=APPROVAL["spec"]["steps"], analysis=HOLDS["spec"]["analysis"]))
    engine = sim.engine()
    view = await waits_as(sim, engine, phase)
    sim.memory.set_image("web", NEWER)
    sim.memory.metrics.fault = None
    for _ in range(5 if phase is Phase.HELD else 1):  # the foreground leaves after each turn of a held run
        view = await engine.drive("shop", view.name, lambda _: None)
    assert (view.state.phase, view.state.reason) == (Phase.SUPERSEDED, Reason.NEW_REVISION)
    sim.image = NEWER
    assert sim.at_rest(promoted=False) == []
    view = await engine.start(sim.plan, images={}, by="ana")
    view = await phase_is(engine, view, Phase.AWAITING_APPROVAL)
    await order(engine, view, "promote", full=True)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("hold_policy", [True, False])
async def test_a_newer_revision_while_the_deployment_rolls_is_waited_out_on_the_candidate(hold_policy: bool) -> None:
    sim = Sim(hold_policy=hold_policy)
    sim.memory.behaviour(GOOD, Behaviour(start_seconds=6))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), lambda v: v.state.committed)
    view = await until(engine, view, passes(sim, 4))
    sim.memory.set_image("web", NEWER)
    for _ in range(3):
        view = await engine.drive("shop", view.name, lambda _: None)
    assert sim.memory.traffic.ledger.dropped == 0
    if view.state.phase is Phase.HELD:
        assert view.state.weight == 100
        sim.memory.set_image("web", GOOD)
        for _ in range(30):  # the foreground leaves after each turn of a held run
            sim.memory.run(1)
            view = await engine.drive("shop", view.name, lambda _: None)
    else:
        sim.image = NEWER
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert sim.at_rest(promoted=True) == []
