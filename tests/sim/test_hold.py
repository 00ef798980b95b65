"""Hold, release and the way back in the simulated cluster: who may pause what, and how a release is taken back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.faults import Crash, Fault, FaultPlan, FaultyCluster
from rollout.controller.foreground import Foreground
from rollout.controller.starting import StartRefused
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.base import HELD
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, PLAN_RUN, Ref
from rollout.plan.run import Phase
from tests.kit.scenes import STABLE, git, play, reasons, running, web
from tests.kit.sim import BAD, GOOD, Sim, plan

NATIVE = plan(promotion={"mode": "native", "deadline": "60s"})


# -- hold modes


@pytest.mark.parametrize("hold_policy", [True, False])
@pytest.mark.parametrize(("image", "end"), [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)])
async def test_what_its_owner_keeps_paused_rests_paused_again(hold_policy: bool, image: str, end: Phase) -> None:
    """Hold mode `paused` at rest: the owner's Git says `paused: true`, so nobody's new template ever rolls."""
    sim = Sim(image=image, hold_policy=hold_policy)
    sim.memory.apply(git(STABLE) | {"spec": git(STABLE)["spec"] | {"paused": True}})
    view = await play(sim)
    assert (view.state.phase, view.spec.revision.rests_paused) == (end, True)
    assert web(sim)["spec"]["paused"] is True
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []
    sim.image = "shop/web:1.3"
    view = await play(sim)
    assert (view.state.phase, web(sim)["spec"]["paused"]) == (Phase.SUCCEEDED, True)
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("hold_policy", [True, False])
async def test_after_a_rollback_it_stays_held_and_the_next_version_is_promoted_and_free(hold_policy: bool) -> None:
    sim = Sim(image=BAD, hold_policy=hold_policy)
    assert (await play(sim)).state.phase is Phase.ROLLED_BACK
    assert web(sim)["spec"]["paused"] is True
    assert web(sim)["metadata"]["annotations"][HELD] == "true"
    sim.image = GOOD
    assert (await play(sim)).state.phase is Phase.SUCCEEDED
    assert not web(sim)["spec"].get("paused")
    assert web(sim)["metadata"]["annotations"].get(HELD, "false") == "false"
    assert sim.at_rest(promoted=True) == []


async def test_a_version_from_git_is_held_by_the_policy_and_started_without_an_image() -> None:
    sim = Sim()
    await play(sim)
    sim.memory.apply(git("shop/web:1.3"))
    assert web(sim)["spec"]["paused"] is True
    sim.memory.run(5)
    assert running(sim) == {GOOD}
    sim.image = "shop/web:1.3"
    engine = sim.engine()
    view = await engine.start(sim.plan, images={}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


# -- restarts, and what ran recently


async def restarted(sim: Sim) -> RunView:
    """A restart that was held, because the Deployment rests paused."""
    resting = git(STABLE)
    resting["spec"] |= {"paused": True}
    sim.memory.apply(resting)
    resting["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "2026-01-01"}
    sim.memory.apply(resting)
    sim.before = sim.data_path()
    sim.image = ""
    return await play(sim)


@pytest.mark.parametrize(("restarts", "weighed"), [("follow", False), ("canary", True)])
async def test_a_restart_is_followed_or_proved(restarts: str, weighed: bool) -> None:
    sim = Sim(hold_policy=False, plan=plan(restarts=restarts))
    before = set(sim.pods(canary=False))
    view = await restarted(sim)
    assert view.state.phase is Phase.SUCCEEDED
    assert (Reason.WEIGHT_SET in reasons(view)) is weighed
    assert not before & set(sim.pods(canary=False))
    assert sim.at_rest() == []


@pytest.mark.parametrize("broken", [False, True])
async def test_going_back_to_what_ran_recently_needs_no_steps(broken: bool) -> None:
    """Also when the version that runs is down: that is when people go back."""
    sim = Sim(plan=plan(rollbackWindow={"revisions": 2}))
    assert (await play(sim)).state.phase is Phase.SUCCEEDED
    if broken:
        sim.memory.behaviour(GOOD, Behaviour(crash=True))
        sim.memory.run(60)
    sim.memory.traffic.fresh_ledger()
    began = sim.memory.clock.now()
    sim.image = STABLE
    view = await play(sim)
    assert view.state.phase is Phase.SUCCEEDED
    assert Reason.WEIGHT_SET not in reasons(view)
    assert sim.memory.clock.now() - began < 30
    assert running(sim) == {STABLE}
    assert broken or sim.at_rest(promoted=True) == []


async def test_what_ran_long_ago_is_tried_like_a_new_version() -> None:
    sim = Sim(plan=plan(rollbackWindow={"revisions": 1}))
    for image in (GOOD, "shop/web:1.3"):
        sim.image = image
        await play(sim)
    sim.image = STABLE
    assert Reason.WEIGHT_SET in reasons(await play(sim))
    assert sim.at_rest(promoted=True) == []


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


# -- what cannot be held, and what is nothing new


async def test_nothing_new_is_not_started() -> None:
    sim = Sim(image=STABLE)
    with pytest.raises(StartRefused, match="asks for the version that is stable"):
        await play(sim)
    assert not web(sim)["spec"].get("paused")


@pytest.mark.parametrize("hold_policy", [True, False])
async def test_after_a_rollback_asking_for_the_stable_version_again_ends_the_hold(hold_policy: bool) -> None:
    sim = Sim(image=BAD, hold_policy=hold_policy)
    await play(sim)
    sim.image = STABLE
    with pytest.raises(StartRefused, match="nothing to try"):
        await play(sim)
    assert not web(sim)["spec"].get("paused")
    assert HELD not in web(sim)["metadata"]["annotations"]
    assert sim.at_rest(promoted=True) == []


async def test_deleted_and_made_again_with_a_new_version_it_starts_and_the_run_says_bypassed() -> None:
    sim = Sim()
    seen: list[bool] = []

    def again(view: RunView) -> None:
        if view.state.weight == 50 and not seen:
            seen.append(True)
            sim.memory.delete(DEPLOYMENT, "web")
            sim.memory.run(1)
            sim.memory.apply(git("shop/web:1.3"))

    view = await play(sim, again)
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.BYPASSED)
    sim.memory.run(20)
    assert running(sim) == {"shop/web:1.3"}
    assert sim.memory.objects.get(Ref(DEPLOYMENT, "shop", "web-canary")) is None


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


# -- a release that does not take


def fails_to_release(sim: Sim, why: str) -> Callable[[RunView], None]:
    """From full traffic on, the right is lost, or Git pauses the Deployment whenever it is free."""

    def each(view: RunView) -> None:
        if why == "right" and view.state.weight == 100:
            sim.memory.cluster.deny("release", CANARY_PLAN)
        if why == "git" and view.state.committed and not web(sim)["spec"].get("paused"):
            paused = web(sim)
            paused["spec"]["paused"] = True
            sim.memory.replace(paused)

    return each


@pytest.mark.parametrize(
    ("why", "told"), [("right", "lacks the verb `release` on canaryplans in shop"), ("git", "writes spec.paused")]
)
async def test_a_release_that_does_not_take_is_told_and_goes_on_when_it_does(why: str, told: str) -> None:
    sim = Sim()
    view = await play(sim, fails_to_release(sim, why))
    assert (view.state.phase, view.state.reason) == (Phase.HELD, Reason.ROLL_STUCK)
    assert told in view.state.message
    assert view.now - view.state.since < 30
    sim.memory.cluster.permit("release", CANARY_PLAN)
    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": sim.image}, by="ana")
    for _ in range(60):
        turn = await engine.reconciler.turn(Ref(PLAN_RUN, "shop", view.name))
        await sim.memory.clock.sleep(turn.wake if turn.wake < 60 else 0)
    assert turn.view.state.phase is Phase.SUCCEEDED
    assert [line for line in sim.at_rest(promoted=True) if "was left behind" not in line] == []


@pytest.mark.parametrize("mode", ["shift", "native"])
async def test_a_release_that_does_not_take_is_tried_now_and_then(mode: str) -> None:
    """Beyond the deadline, too; and on the way home of a native promotion."""
    sim = Sim(plan=plan(promotion={"mode": mode, "deadline": "60s"}))
    engine, each = sim.engine(), fails_to_release(sim, "git")
    view = await engine.start(sim.plan, images={"app": sim.image}, by="ana")
    while not view.state.committed:
        turn = await engine.reconciler.turn(Ref(PLAN_RUN, "shop", view.name))
        view = turn.view
        await sim.memory.clock.sleep(min(turn.wake, 1.0))
    before, began = web(sim)["metadata"]["generation"], sim.memory.clock.now()
    while sim.memory.clock.now() < began + 1000 and not turn.view.state.phase.ended:
        turn = await engine.reconciler.turn(Ref(PLAN_RUN, "shop", view.name))
        each(turn.view)
        await sim.memory.clock.sleep(min(turn.wake, 1.0))
    writes = web(sim)["metadata"]["generation"] - before
    assert writes < 2 * (20 + 1000 / 10)
    assert turn.view.state.phase is (Phase.HELD if mode == "shift" else Phase.ROLLING_BACK)
    assert "writes spec.paused" in turn.view.state.message
    for _ in range(60):
        turn = await engine.reconciler.turn(Ref(PLAN_RUN, "shop", view.name))
        await sim.memory.clock.sleep(min(turn.wake, 1.0))
    assert turn.view.state.phase is (Phase.SUCCEEDED if mode == "shift" else Phase.ROLLED_BACK)
    assert sim.memory.traffic.ledger.dropped == 0
