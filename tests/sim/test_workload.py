"""What happens to pods, routes, plan and target in mid-run: who is to blame, and where the traffic goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.starting import StartRefused
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    DEPLOYMENT,
    DESTINATION_RULE,
    PVC,
    VIRTUAL_SERVICE,
    Kind,
    Ref,
)
from rollout.plan.run import Phase
from tests.kit.scenes import STABLE, at_weight, git, once, play, reasons, running, web
from tests.kit.sim import GOOD, VS, Sim, plan

CANARY = Ref(DEPLOYMENT, "shop", "web-canary")
NEWER = "shop/web:1.3"


def dropped(sim: Sim) -> int:
    return sim.memory.traffic.ledger.dropped


def wanted_replicas(sim: Sim, replicas: int) -> None:
    sim.memory.scale("web", replicas)
    sim.before[str(Ref(DEPLOYMENT, "shop", "web"))]["replicas"] = replicas


def forget_stable(sim: Sim) -> None:
    """From here on it is this test that touches stable pods."""
    sim.stable_pods.clear()


# -- stable


async def test_a_stable_pod_that_restarts_while_held_comes_back_and_the_run_goes_on() -> None:
    sim = Sim()

    def kill() -> None:
        name = sim.pods(canary=False)[0]
        sim.stable_pods.discard(name)
        sim.memory.kill_pod(name)

    view = await play(sim, once(at_weight(10), kill))
    assert view.state.phase is Phase.SUCCEEDED
    assert Reason.STABLE_BELOW_FLOOR not in reasons(view) or dropped(sim) == 0
    assert sim.at_rest(promoted=True) == []


async def test_no_weight_goes_up_while_stable_is_below_its_floor() -> None:
    sim = Sim(plan=plan(steps=[{"weight": 10}, {"weight": 90}]))
    forget_stable(sim)

    def two_die() -> None:
        sim.memory.behaviour(STABLE, Behaviour(unschedulable_after=1))
        for name in sim.pods(canary=False)[:2]:
            sim.memory.kill_pod(name)

    heal = once(
        lambda v: v.state.reason == Reason.STABLE_BELOW_FLOOR and v.now - v.state.holding.since > 30,  # type: ignore[union-attr]
        lambda: sim.memory.behaviour(STABLE, Behaviour()),
    )
    break_ = once(at_weight(10), two_die)
    weights: set[float] = set()

    def each(view: RunView) -> None:
        break_(view)
        heal(view)
        if view.state.reason == Reason.STABLE_BELOW_FLOOR:
            weights.add(view.state.weight)

    view = await play(sim, each)
    assert view.state.phase is Phase.SUCCEEDED
    assert weights == {10.0}
    assert Reason.STABLE_BELOW_FLOOR in reasons(view)
    assert sim.at_rest(promoted=True) == []


async def test_a_lost_pin_gives_the_plain_service_the_traffic_and_keeps_the_candidate() -> None:
    sim = Sim(own_routes=True)
    sim.may_leak = True
    forget_stable(sim)
    moments: dict[str, float] = {}

    def all_die() -> None:
        moments["died"] = sim.memory.clock.now()
        sim.memory.behaviour(STABLE, Behaviour(unschedulable_after=0))
        for name in sim.pods(canary=False):
            sim.memory.kill_pod(name)

    break_ = once(at_weight(50), all_die)

    def heal() -> None:
        assert sim.memory.objects.get(CANARY) is not None
        assert sim.memory.get(VIRTUAL_SERVICE, "web")["spec"] == VS["spec"]
        moments["before"] = dropped(sim)
        sim.memory.behaviour(STABLE, Behaviour())

    heal_ = once(lambda v: "died" in moments and v.now > moments["died"] + 60, heal)

    def each(view: RunView) -> None:
        break_(view)
        heal_(view)
        if view.state.phase is Phase.ROLLING_BACK and "home" not in moments:
            if sim.memory.get(VIRTUAL_SERVICE, "web")["spec"] == VS["spec"]:
                moments["home"] = view.now

    view = await play(sim, each)
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.PIN_LOST)
    assert moments["home"] - moments["died"] <= 3
    assert dropped(sim) == moments["before"] <= 50 * 4, "only what went to dead pods before we could know"
    assert running(sim) == {STABLE}
    assert sim.memory.objects.get(CANARY) is None


@pytest.mark.parametrize("sizes", [(6, 4), (5, 5), (9, 3)])
async def test_an_autoscaler_on_stable_scales_up_and_down_in_mid_run(sizes: tuple[int, int]) -> None:
    sim = Sim()
    forget_stable(sim)
    sim.memory.behaviour(GOOD, Behaviour())
    up = once(at_weight(10), lambda: wanted_replicas(sim, sizes[0]))
    down = once(at_weight(50), lambda: wanted_replicas(sim, sizes[1]))
    candidates: dict[float, int] = {}

    def each(view: RunView) -> None:
        up(view)
        down(view)
        if view.state.held_since is not None and (found := sim.memory.objects.get(CANARY)) is not None:
            candidates[view.state.weight] = found["spec"]["replicas"]

    view = await play(sim, each)
    assert view.state.phase is Phase.SUCCEEDED
    assert candidates[10.0] == 1
    assert candidates[50.0] >= -(-sizes[0] // 2)
    assert candidates[100.0] >= sizes[1]
    assert len(sim.pods(canary=False)) == sizes[1]
    assert sim.at_rest(promoted=True) == []


# -- the candidate


@pytest.mark.parametrize("why", ["room", "quota"])
async def test_no_room_for_the_candidate_holds_and_then_goes_on(why: str) -> None:
    sim = Sim()
    if why == "quota":
        sim.memory.workloads.quota["shop"] = 3
    else:
        sim.memory.behaviour(GOOD, Behaviour(unschedulable_after=0))

    def room() -> None:
        sim.memory.workloads.quota.clear()
        sim.memory.behaviour(GOOD, Behaviour())

    blocked = once(lambda v: v.state.phase is Phase.HOLDING and v.now - v.state.since > 120, room)
    view = await play(sim, blocked)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert Reason.CANDIDATE_BLOCKED in reasons(view)
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("bad", [Behaviour(image_pull_error=True), Behaviour(crash=True)])
async def test_a_candidate_that_cannot_run_is_a_bad_version_at_once(bad: Behaviour) -> None:
    sim = Sim()
    sim.memory.behaviour(GOOD, bad)
    view = await play(sim)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.CANDIDATE_BROKEN)
    assert view.now - view.state.started < 60
    assert sim.at_rest(promoted=False) == []


async def test_a_candidate_that_never_becomes_ready_has_its_time() -> None:
    sim = Sim(plan=plan(candidate={"readyWithin": "90s"}))
    sim.memory.behaviour(GOOD, Behaviour(never_ready=True))
    view = await play(sim)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.CANDIDATE_NOT_READY)
    assert 90 <= view.now - view.state.started < 130
    assert sim.at_rest(promoted=False) == []


async def test_a_candidate_that_loses_its_last_ready_pod_under_traffic_goes() -> None:
    sim = Sim()
    view = await play(sim, once(at_weight(50), lambda: sim.memory.behaviour(GOOD, Behaviour(never_ready=True))))
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.CANDIDATE_GONE)
    assert dropped(sim) <= 50 * 4, "only the candidate's share, until we could know"
    sim.memory.traffic.fresh_ledger()
    assert sim.at_rest(promoted=False) == []


@pytest.mark.parametrize("foreground", [False, True])
async def test_a_candidate_that_somebody_deletes_is_taken_for_gone_or_made_again(foreground: bool) -> None:
    sim = Sim()
    delete = once(at_weight(50), lambda: sim.memory.delete(DEPLOYMENT, "web-canary", foreground=foreground))
    view = await play(sim, delete)
    assert view.state.phase in (Phase.SUCCEEDED, Phase.ROLLED_BACK)
    assert dropped(sim) <= 50 * 4
    sim.memory.traffic.fresh_ledger()
    assert sim.at_rest(promoted=view.state.phase is Phase.SUCCEEDED) == []


def recreate(obj: Json) -> None:
    obj["spec"]["strategy"] = {"type": "Recreate", "rollingUpdate": None}


def mounts(obj: Json) -> None:
    obj["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]


def host_port(obj: Json) -> None:
    obj["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, "hostPort": 80}]


@pytest.mark.parametrize(
    ("change", "code"),
    [(recreate, "RO222"), (host_port, "RO223"), (mounts, "RO224")],
    ids=lambda it: getattr(it, "__name__", it),
)
async def test_shapes_of_which_two_versions_cannot_run_are_refused(change: Callable[[Json], None], code: str) -> None:
    sim = Sim()
    claim: Json = {"apiVersion": "v1", "kind": PVC.name, "metadata": {"name": "data", "namespace": "shop"}}
    sim.memory.apply(claim | {"spec": {"accessModes": ["ReadWriteOnce"]}})
    obj = web(sim)
    change(obj)
    sim.memory.replace(obj)
    sim.memory.run(30)
    with pytest.raises(StartRefused) as refused:
        await play(sim)
    assert code in {f.code for f in refused.value.findings}
    assert sim.memory.objects.get(CANARY) is None
    assert running(sim) == {STABLE}


# -- plan and target


@pytest.mark.parametrize("weight", [0.0, 10.0, 50.0, 100.0])
async def test_a_plan_that_is_deleted_takes_its_run_home(weight: float) -> None:
    sim = Sim()
    view = await play(sim, once(lambda v: v.state.weight == weight, lambda: sim.memory.delete(CANARY_PLAN, "web")))
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.PLAN_DELETED)
    assert web(sim)["spec"]["paused"] is True
    assert not any("meshrollout" in key for key in web(sim)["metadata"]["labels"])
    assert any(n.reason == Reason.HOLD_ENDED and "kubectl rollout resume" in n.message for n in view.state.notes)
    assert sim.at_rest(promoted=False) == []
    resumed = web(sim)
    resumed["spec"]["paused"] = False
    sim.memory.replace(resumed)
    sim.memory.run(20)
    assert running(sim) == {GOOD}, "it is its owner's to roll"


async def test_a_newer_version_in_mid_run_goes_home_first_and_then_has_its_own_run() -> None:
    sim = Sim()
    view = await play(sim, once(at_weight(50), lambda: sim.memory.set_image("web", NEWER)))
    assert (view.state.phase, view.state.reason) == (Phase.SUPERSEDED, Reason.NEW_REVISION)
    sim.image = NEWER
    assert sim.at_rest(promoted=False) == []
    engine = sim.engine()
    view = await engine.start(sim.plan, images={}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert (view.state.phase, view.spec.revision.images) == (Phase.SUCCEEDED, {"app": NEWER})
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("hold_policy", [True, False])
@pytest.mark.parametrize("weight", [0.0, 10.0, 50.0, 100.0])
async def test_a_template_that_is_reverted_ends_the_run_and_is_free(hold_policy: bool, weight: float) -> None:
    sim = Sim(hold_policy=hold_policy)
    view = await play(sim, once(lambda v: v.state.weight == weight, lambda: sim.memory.set_image("web", STABLE)))
    assert (view.state.phase, view.state.reason) == (Phase.SUPERSEDED, Reason.REVERTED)
    assert not web(sim)["spec"].get("paused")
    sim.image = STABLE
    assert sim.at_rest(promoted=True) == []


async def test_a_target_that_is_deleted_takes_everything_of_the_run_with_it() -> None:
    sim = Sim()
    forget_stable(sim)
    view = await play(sim, once(at_weight(50), lambda: sim.memory.delete(DEPLOYMENT, "web")))
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.TARGET_GONE)
    sim.memory.run(20)
    assert sim.memory.objects.get(CANARY) is None
    assert not [ref for ref, _ in sim.memory.objects if ref.kind in (DESTINATION_RULE, VIRTUAL_SERVICE)]


async def test_a_target_that_is_made_anew_serves_and_the_candidate_stays_until_it_does() -> None:
    sim = Sim()
    forget_stable(sim)
    sim.memory.behaviour(NEWER, Behaviour(start_seconds=15))
    moments: dict[str, float] = {}

    def again() -> None:
        sim.memory.delete(DEPLOYMENT, "web")
        sim.memory.apply(git(NEWER))
        moments["anew"] = sim.memory.clock.now()

    def each(view: RunView) -> None:
        delete(view)
        if "anew" in moments and view.now > moments["anew"] + 6 and not sim.memory.ready_pods(app="web"):
            raise AssertionError("nobody serves")

    delete = once(at_weight(50), again)
    view = await play(sim, each)
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.BYPASSED)
    assert running(sim) == {NEWER}
    assert sim.memory.objects.get(CANARY) is None
    assert dropped(sim) <= 50 * 4


# -- routes


def ours(sim: Sim, kind: Kind) -> Ref | None:
    return next((r for r, o in sim.memory.objects if r.kind == kind and "rollout" in str(o["metadata"])), None)


@pytest.mark.parametrize("own_routes", [True, False])
@pytest.mark.parametrize("kind", [DESTINATION_RULE, VIRTUAL_SERVICE])
async def test_an_object_of_ours_that_somebody_deletes_is_made_again(kind: Kind, own_routes: bool) -> None:
    sim = Sim(own_routes=own_routes)
    sim.may_leak = True

    def delete() -> None:
        found = ours(sim, kind)
        if found is not None:
            sim.memory.delete(kind, found.name)

    view = await play(sim, once(at_weight(50), delete))
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    missing = kind == DESTINATION_RULE
    assert dropped(sim) <= (100 * 2 if missing else 0), "without its subsets a route answers 503 until our next turn"
    sim.memory.traffic.fresh_ledger()
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("policy", ["heal", "report"])
async def test_an_owner_who_applies_his_route_again_and_again(policy: str) -> None:
    sim = Sim(own_routes=True, plan=plan(router={"type": "istio", "drift": policy}))
    sim.may_leak = True
    turns = 0

    def each(view: RunView) -> None:
        nonlocal turns
        turns += 1
        if turns % 5 == 0 and turns < 200 and not view.state.phase.ended:
            sim.memory.replace(VS)

    view = await play(sim, each)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert Reason.DRIFT in reasons(view)
    assert dropped(sim) == 0
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize(("verb", "end"), [("promote", Phase.SUCCEEDED), ("abort", Phase.ABORTED)])
async def test_a_drift_that_holds_asks_a_person(verb: str, end: Phase) -> None:
    sim = Sim(own_routes=True, plan=plan(router={"type": "istio", "drift": "hold"}))
    sim.may_leak = True
    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": GOOD}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None, until=at_weight(10))
    sim.memory.replace(VS)
    view = await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.phase is Phase.HOLDING)
    assert f"rollout {verb}" in view.state.message
    await engine.order("shop", view.name, verb, by="ana", reason="seen")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is end, view.state.message
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_what_an_owner_edits_in_his_route_is_kept() -> None:
    sim = Sim(own_routes=True)

    def edit() -> None:
        obj = sim.memory.get(VIRTUAL_SERVICE, "web")
        obj["spec"]["http"][0]["timeout"] = "9s"
        sim.before[str(Ref(VIRTUAL_SERVICE, "shop", "web"))]["http"][0]["timeout"] = "9s"
        sim.memory.replace(obj)

    view = await play(sim, once(at_weight(10), edit))
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.memory.get(VIRTUAL_SERVICE, "web")["spec"]["http"][0]["timeout"] == "9s"
    assert sim.at_rest(promoted=True) == []
