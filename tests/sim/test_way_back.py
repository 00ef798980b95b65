"""The way back after the commit point: a native roll or a shift that sticks is taken back, at any write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.faults import Crash, Fault, FaultPlan, FaultyCluster
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.kinds import DEPLOYMENT, Ref
from rollout.plan.run import Phase
from tests.kit.scenes import STABLE, git, play, reasons, running, web
from tests.kit.sim import GOOD, Sim, plan

NATIVE = plan(promotion={"mode": "native", "deadline": "60s"})


# -- native promotion and its way back


def committed(do: Callable[[RunView], None], *, once: bool = True) -> Callable[[RunView], None]:
    """Do something after the commit point."""
    done: list[bool] = []

    def each(view: RunView) -> None:
        if view.state.committed and not (once and done):
            done.append(True)
            do(view)

    return each


def scarce(sim: Sim, room: int = 2) -> Callable[[RunView], None]:
    """The cluster has no room for more than so many pods of the new version: its roll sticks."""
    return lambda _: sim.memory.behaviour(sim.image, Behaviour(unschedulable_after=room))


def taken_back(sim: Sim, view: RunView, end: Phase = Phase.ROLLED_BACK) -> None:
    assert view.state.phase is end, view.state.message
    assert Reason.TAKEN_BACK in reasons(view)
    assert running(sim) == {STABLE}
    assert len(sim.memory.ready_pods(app="web")) == 3
    assert web(sim)["spec"]["paused"] is True, "what its owner asks for is held"
    assert sim.at_rest(promoted=False) == []


@pytest.mark.parametrize("hold_policy", [True, False])
@pytest.mark.parametrize("own_routes", [True, False])
async def test_a_native_roll_that_sticks_is_taken_back(own_routes: bool, hold_policy: bool) -> None:
    sim = Sim(own_routes=own_routes, hold_policy=hold_policy, plan=NATIVE)
    view = await play(sim, committed(scarce(sim)))
    taken_back(sim, view)
    assert view.state.failed is not None
    assert view.state.failed.reason == Reason.ROLL_STUCK


async def test_a_native_roll_whose_gates_fail_is_taken_back() -> None:
    sim = Sim(plan=NATIVE)
    bad = Behaviour(error_rate=0.3, start_seconds=5)
    view = await play(sim, committed(lambda _: sim.memory.behaviour(GOOD, bad)))
    taken_back(sim, view)
    assert view.state.failed is not None
    assert view.state.failed.reason == Reason.GATE_FAILED


async def test_a_native_roll_is_taken_back_against_a_git_that_applies_again() -> None:
    sim = Sim(plan=NATIVE)
    turns = 0

    def each(view: RunView) -> None:
        nonlocal turns
        turns += 1
        committed(scarce(sim))(view)
        if view.state.phase is Phase.ROLLING_BACK and turns % 4 == 0:
            sim.memory.apply(git(GOOD))

    view = await play(sim, each)
    taken_back(sim, view)
    sim.memory.apply(git(GOOD))
    sim.memory.run(20)
    assert web(sim)["spec"]["paused"] is True
    assert running(sim) == {STABLE}, "what Git still asks for is held"
    assert sim.at_rest(promoted=False) == []


async def test_a_newer_version_while_it_goes_back_is_held_and_not_lost_to_git() -> None:
    sim = Sim(plan=NATIVE)
    newer: list[bool] = []

    def each(view: RunView) -> None:
        committed(scarce(sim))(view)
        if view.state.phase is Phase.ROLLING_BACK and not newer:
            newer.append(True)
            sim.memory.apply(git("shop/web:1.3"))

    view = await play(sim, each)
    taken_back(sim, view)
    sim.memory.apply(git("shop/web:1.3"))
    sim.image = "shop/web:1.3"
    assert (await play(sim)).state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


async def test_an_abort_takes_a_native_roll_back_and_comes_too_late_for_a_shift() -> None:
    for mode, end in (("native", Phase.ABORTED), ("shift", Phase.SUCCEEDED)):
        sim = Sim(plan=plan(promotion={"mode": mode}))
        sim.memory.behaviour(GOOD, Behaviour(start_seconds=4))
        engine = sim.engine()
        view = await engine.start(sim.plan, images={"app": GOOD}, by="ana")
        view = await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.committed)
        sim.memory.run(3)
        view = await engine.go_home("shop", view.name, lambda _: None)
        assert view.state.phase is end
        assert running(sim) == {STABLE if end is Phase.ABORTED else GOOD}
        assert sim.memory.traffic.ledger.dropped == 0


async def test_a_native_roll_holds_when_the_plan_says_so() -> None:
    held = plan(
        promotion={"mode": "native", "deadline": "60s"}, analysis=NATIVE["spec"]["analysis"] | {"onFailure": "hold"}
    )
    sim = Sim(plan=held)
    engine = sim.engine()
    view = await play(sim, committed(scarce(sim)), engine)
    assert (view.state.phase, view.state.reason) == (Phase.HELD, Reason.ROLL_STUCK)
    sim.memory.behaviour(GOOD, Behaviour())
    sim.memory.run(20)
    view = await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.phase is not Phase.HELD)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


# -- a shift whose roll sticks


async def stuck(sim: Sim, engine: Foreground) -> RunView:
    view = await play(sim, committed(scarce(sim, room=4)), engine)
    assert (view.state.phase, view.state.reason) == (Phase.HELD, Reason.ROLL_STUCK)
    assert sim.memory.traffic.ledger.dropped == 0
    return view


@pytest.mark.parametrize("hold_policy", [True, False])
@pytest.mark.parametrize("how", ["abort", "revert"])
async def test_a_stuck_shift_is_taken_back_by_a_person(how: str, hold_policy: bool) -> None:
    sim = Sim(hold_policy=hold_policy, plan=plan(promotion={"deadline": "60s"}))
    engine = sim.engine()
    view = await stuck(sim, engine)
    if how == "abort":
        await engine.order("shop", view.name, "abort", by="ana", reason="no room")
    else:
        sim.memory.set_image("web", STABLE)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is (Phase.ABORTED if how == "abort" else Phase.SUPERSEDED)
    assert bool(web(sim)["spec"].get("paused")) is (how == "abort")
    sim.image = GOOD if how == "abort" else STABLE
    assert sim.at_rest(promoted=how == "revert") == []


async def test_a_target_made_anew_after_the_commit_point_is_promoted_when_it_is_whole() -> None:
    sim = Sim()

    def again(_: RunView) -> None:
        sim.memory.delete(DEPLOYMENT, "web")
        sim.memory.run(2)
        sim.memory.apply(git(GOOD))

    engine = sim.engine()
    view = await play(sim, committed(again), engine)
    assert view.state.phase is Phase.HELD
    sim.memory.run(20)
    view = await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.phase is not Phase.HELD)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.memory.objects.get(Ref(DEPLOYMENT, "shop", "web-canary")) is None
    assert sim.memory.traffic.ledger.dropped == 0


# -- killed on the way back


async def way_back(faults: FaultPlan, cluster: list[FaultyCluster]) -> tuple[Sim, RunView]:
    """A native roll that sticks, taken back by an engine that meets these faults, and by others after it."""
    sim = Sim(plan=NATIVE)
    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": GOOD}, by="ana")
    await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.committed)
    scarce(sim)(view)
    for life in range(9):
        cluster.append(FaultyCluster(sim.memory.cluster, faults if life == 0 else FaultPlan()))
        try:
            return sim, await sim.engine(cluster[-1], "engine-1").drive("shop", view.name, lambda _: None)
        except Crash:
            sim.memory.run(2)
    raise AssertionError("no end after 9 engines")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.CRASH_BEFORE])
async def test_killed_at_every_write_of_the_way_back(fault: Fault) -> None:
    clusters: list[FaultyCluster] = []
    taken_back(*await way_back(FaultPlan(), clusters))
    total = clusters[0].writes
    assert total > 10
    for number in range(1, total + 1):
        taken_back(*await way_back(FaultPlan(at_write={number: fault}), []))
