"""Hold and release in the simulated cluster: who may pause what, what is worth a hold, and when a release fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.starting import StartRefused
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.base import HELD
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, PLAN_RUN, Ref
from rollout.plan.run import Phase
from tests.kit.scenes import STABLE, git, play, reasons, running, web
from tests.kit.sim import BAD, GOOD, Sim, plan

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
