"""Orders in the simulated shop: the world after a pause, a retry, a skip, an undo, and when stable breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.kinds import DEPLOYMENT, PLAN_DECISION, Ref
from rollout.plan.run import Phase
from tests.kit.scenes import STABLE, OnTurn, at_weight, git, once, reasons, running, web
from tests.kit.sim import BAD, GOOD, Sim, plan

NEWER = "shop/web:1.3"
APPROVAL = plan(steps=[{"weight": 20}, {"approve": {"within": "2m"}}, {"weight": 50}])
HOLDS = plan(analysis=plan()["spec"]["analysis"] | {"onFailure": "hold"})
CANARY = Ref(DEPLOYMENT, "shop", "web-canary")


async def begin(sim: Sim, engine: Foreground) -> RunView:
    return await engine.start(sim.plan, images={"app": sim.image}, by="ana")


async def until(engine: Foreground, view: RunView, true: Callable[[RunView], bool]) -> RunView:
    view = await engine.drive("shop", view.name, lambda _: None, until=true)
    assert true(view), (view.state.phase, view.state.message)
    return view


async def phase_is(engine: Foreground, view: RunView, phase: Phase) -> RunView:
    return await until(engine, view, lambda v: v.state.phase is phase)


async def order(engine: Foreground, view: RunView, verb: str, *, full: bool = False) -> None:
    await engine.order("shop", view.name, verb, by="ana", reason="because", full=full)


def passes(sim: Sim, seconds: float) -> Callable[[RunView], bool]:
    end = sim.memory.clock.now() + seconds
    return lambda view: view.now >= end


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


# -- a newer revision, whatever the run waits for


def turn_bad(sim: Sim) -> None:
    sim.memory.behaviour(GOOD, Behaviour(error_rate=0.4))


def no_metrics(sim: Sim) -> None:
    sim.memory.metrics.fault = "outage"


async def waits_as(sim: Sim, engine: Foreground, phase: Phase) -> RunView:
    """A run with traffic on its candidate, in this phase."""
    view = await until(engine, await begin(sim, engine), at_weight(20))
    match phase:
        case Phase.PAUSED:
            await order(engine, view, "pause")
        case Phase.HELD:
            turn_bad(sim)
        case Phase.HOLDING:
            no_metrics(sim)
    return await phase_is(engine, view, phase)


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


# -- stable breaks


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
