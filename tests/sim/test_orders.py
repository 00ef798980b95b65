"""Orders in the simulated shop: the world after a pause, a retry, a skip, an undo; repeated, and with dying engines."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.kinds import PLAN_DECISION
from rollout.plan.run import Phase
from tests.kit.ordering import APPROVAL, HOLDS, begin, order, passes, phase_is, until
from tests.kit.scenes import STABLE, at_weight, git, reasons, running, web
from tests.kit.sim import BAD, GOOD, Sim, plan

# -- pause and resume


@pytest.mark.parametrize("drift", [False, True])
async def test_a_paused_run_stays_where_it_is_and_its_routes_too(drift: bool) -> None:
    sim = Sim(plan=plan(analysis=plan()["spec"]["analysis"] | {"deadline": "60s"}))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(10))
    await order(engine, view, "pause")
    view = await phase_is(engine, view, Phase.PAUSED)
    if drift:
        route = next(ref for ref, obj in sim.memory.objects if ref.kind.name == "VirtualService")
        obj = sim.memory.get(route.kind, route.name)
        obj["spec"]["http"][0]["route"][0]["weight"], obj["spec"]["http"][0]["route"][1]["weight"] = 0, 100
        sim.memory.replace(obj)
    view = await until(engine, view, passes(sim, 600))
    assert (view.state.phase, view.state.step, view.state.routed) == (Phase.PAUSED, 0, 10.0)
    assert (Reason.DRIFT in reasons(view)) is drift
    other = sim.engine(identity="engine-2")
    sim.memory.run(20)
    await order(other, view, "resume")
    view = await other.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED, "the deadline of one minute stood still"
    assert sim.at_rest(promoted=True) == []


async def test_an_approval_that_is_paused_waits_on_afterwards() -> None:
    sim = Sim(plan=APPROVAL)
    engine = sim.engine()
    view = await phase_is(engine, await begin(sim, engine), Phase.AWAITING_APPROVAL)
    await order(engine, view, "pause")
    view = await until(engine, view, passes(sim, 300))
    assert view.state.phase is Phase.PAUSED
    await order(engine, view, "promote")
    view = await until(engine, view, passes(sim, 3))
    assert (view.state.phase, view.state.notes[-1].reason) == (Phase.PAUSED, Reason.DECISION_REFUSED)
    await order(engine, view, "resume")
    view = await phase_is(engine, view, Phase.AWAITING_APPROVAL)
    await order(engine, view, "promote")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


async def test_a_version_that_turns_bad_while_paused_is_taken_home() -> None:
    sim = Sim()
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(50))
    await order(engine, view, "pause")
    view = await phase_is(engine, view, Phase.PAUSED)
    sim.memory.behaviour(GOOD, Behaviour(error_rate=0.4))
    view = await engine.drive("shop", view.name, lambda _: None)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.GATE_FAILED)
    assert sim.at_rest(promoted=False) == []


# -- retry, skip


async def test_a_step_that_was_held_is_tried_again_and_judged_by_what_happens_then() -> None:
    sim = Sim(plan=HOLDS)
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(10))
    sim.memory.behaviour(GOOD, Behaviour(error_rate=0.4))
    view = await phase_is(engine, view, Phase.HELD)
    sim.memory.run(120)
    sim.memory.behaviour(GOOD, Behaviour())
    await order(engine, view, "retry")
    view = await phase_is(engine, view, Phase.PROGRESSING)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert view.state.failed is None
    assert sim.at_rest(promoted=True) == []


async def test_a_retry_of_what_is_still_bad_is_held_again() -> None:
    sim = Sim(image=BAD, plan=HOLDS)
    engine = sim.engine()
    view = await phase_is(engine, await begin(sim, engine), Phase.HELD)
    await order(engine, view, "retry")
    view = await phase_is(engine, view, Phase.PROGRESSING)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert (view.state.phase, view.state.reason) == (Phase.HELD, Reason.GATE_FAILED)
    await order(engine, view, "abort")
    view = await phase_is(engine, view, Phase.ROLLING_BACK)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.ABORTED
    assert sim.at_rest(promoted=False) == []


async def test_a_skipped_step_is_left_at_once_and_the_next_one_holds() -> None:
    sim = Sim(plan=plan(steps=[{"weight": 10, "hold": "1h"}, {"weight": 50}], analysis=plan()["spec"]["analysis"]))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(10))
    await order(engine, view, "skip")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert view.state.step_times[0] < 60
    assert view.state.step_times[1] >= 6
    assert sim.at_rest(promoted=True) == []


# -- undo


@pytest.mark.parametrize("hold_policy", [True, False])
@pytest.mark.parametrize("weight", [10.0, 50.0, 100.0])
async def test_after_an_undo_the_deployment_asks_for_stable_and_is_free(weight: float, hold_policy: bool) -> None:
    sim = Sim(own_routes=True, hold_policy=hold_policy, plan=plan(promotion={"bake": "30s"}))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(weight))
    await order(engine, view, "undo")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.UNDO_ORDERED)
    assert "rollout handoff web" in view.state.message
    assert not web(sim)["spec"].get("paused")
    sim.image = ""
    assert sim.at_rest(promoted=False) == []


async def test_an_undo_leaves_paused_what_its_owner_keeps_paused() -> None:
    sim = Sim()
    sim.memory.apply(git(STABLE) | {"spec": git(STABLE)["spec"] | {"paused": True}})
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(10))
    await order(engine, view, "undo")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert (view.state.phase, web(sim)["spec"]["paused"]) == (Phase.ABORTED, True)
    sim.image = ""
    assert sim.at_rest(promoted=False) == []


@pytest.mark.parametrize("hold_policy", [True, False])
async def test_an_undo_of_a_native_roll_takes_it_back_and_holds_nothing(hold_policy: bool) -> None:
    sim = Sim(hold_policy=hold_policy, plan=plan(promotion={"mode": "native", "deadline": "60s"}))
    sim.memory.behaviour(GOOD, Behaviour(start_seconds=8))
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), lambda v: v.state.committed)
    view = await until(engine, view, passes(sim, 4))
    await order(engine, view, "undo")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.ABORTED
    assert not web(sim)["spec"].get("paused")
    sim.image = ""
    assert sim.at_rest(promoted=False) == []


async def test_an_undo_against_a_git_that_applies_again_ends_and_what_git_brings_is_held() -> None:
    sim = Sim()
    engine = sim.engine()
    view = await until(engine, await begin(sim, engine), at_weight(10))
    await order(engine, view, "undo")
    turns = 0

    def each(_: RunView) -> None:
        nonlocal turns
        turns += 1
        if turns % 5 == 0:
            sim.memory.apply(git(GOOD))

    view = await engine.drive("shop", view.name, each)
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.UNDO_ORDERED)
    sim.memory.apply(git(GOOD))
    sim.memory.run(20)
    assert (web(sim)["spec"]["paused"], running(sim)) == (True, {STABLE})
    assert sim.at_rest(promoted=False) == []


# -- decisions that come back, and engines that die


async def test_a_decision_that_git_creates_again_and_again_acts_once() -> None:
    sim = Sim(plan=plan(steps=[{"weight": 10}, {"approve": {"within": "2m"}}, {"weight": 30}, {"approve": {}}]))
    engine = sim.engine()
    view = await phase_is(engine, await begin(sim, engine), Phase.AWAITING_APPROVAL)
    spec = {"plan": "web", "run": view.name, "runUid": view.uid, "verb": "promote", "by": "git"}
    kept = {"apiVersion": PLAN_DECISION.api_version, "kind": PLAN_DECISION.name, "spec": spec}
    kept["metadata"] = {"name": "in-git", "namespace": "shop"}
    turns = 0

    def again(_: RunView) -> None:
        nonlocal turns
        turns += 1
        if turns % 5 == 0:
            sim.memory.delete(PLAN_DECISION, "in-git")
            sim.memory.apply(kept)

    sim.memory.apply(kept)
    second = await engine.drive(
        "shop", view.name, again, until=lambda v: v.state.step == 3 and v.state.phase is Phase.AWAITING_APPROVAL
    )
    end = sim.memory.clock.now() + 60
    second = await engine.drive("shop", view.name, again, until=lambda v: v.now > end)
    assert (second.state.phase, second.state.step) == (Phase.AWAITING_APPROVAL, 3)
    assert reasons(second).count(Reason.DECISION_REFUSED) == 1
    await order(engine, view, "promote")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED


async def ordered(verbs: dict[int, str], faults: FaultPlan, image: str = GOOD) -> tuple[Sim, RunView, int]:
    """A run that gets these orders and meets these faults, driven to its end by one engine after the other."""
    sim = Sim(own_routes=True, image=image)
    sim.orders = verbs
    cluster = FaultyCluster(sim.memory.cluster, FaultPlan())
    if not faults.at_write:
        return sim, await sim.run(sim.engine(cluster)), cluster.writes
    return sim, await sim.survive(faults), 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.CRASH_BEFORE, Fault.LOST_AFTER])
@pytest.mark.parametrize(
    ("verbs", "end"),
    [({8: "pause", 20: "resume"}, Phase.SUCCEEDED), ({18: "undo"}, Phase.ABORTED)],
    ids=["pause", "undo"],
)
async def test_killed_at_every_write_of_a_run_with_orders(verbs: dict[int, str], end: Phase, fault: Fault) -> None:
    sim, view, total = await ordered(verbs, FaultPlan())
    assert view.state.phase is end
    assert total > 10
    for number in range(1, total + 1):
        sim, view, _ = await ordered(verbs, FaultPlan(at_write={number: fault}))
        sim.image = "" if end is Phase.ABORTED else GOOD
        assert (number, view.state.phase, sim.at_rest(promoted=end is Phase.SUCCEEDED)) == (number, end, [])
