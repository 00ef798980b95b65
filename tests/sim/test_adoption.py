"""A namespace enters the mesh in the simulated cluster, under load: every stage, every obstacle, every way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.mesh import Cause
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.kinds import CRON_JOB, DEPLOYMENT, DESTINATION_RULE, PEER_AUTHENTICATION, PLAN_RUN
from rollout.plan.run import Phase, dump_spec
from tests.kit.adopted import OUTSIDE, PROXIED, SHOP, Adopted, peers
from tests.kit.builders import run as canary_run
from tests.kit.journey import CAREFUL, CLASSIC, EVERYTHING, Journey, allows, authorize, name_of, plan

FRONT, AGENT, REPORT, LEGACY = "shop/front", "shop/agent", "shop/report", "old/legacy"
ALL_POLICIES = authorize(allows("web", FRONT, AGENT, REPORT, LEGACY), allows("greeter", FRONT), allows("db", FRONT))


def waits(minutes: float = 2) -> Callable[[RunView], bool]:
    """Until it has been held up for so long."""

    def waiting(view: RunView) -> bool:
        holding = view.state.holding
        return view.state.phase is Phase.HOLDING and holding is not None and view.now - holding.since > minutes * 60

    return waiting


def at(step: int) -> Callable[[RunView], bool]:
    """Until a step has begun."""
    return lambda view: view.state.step >= step


async def aborted(journey: Journey, engine: Foreground, view: RunView) -> RunView:
    """An abort, to its end."""
    await engine.order(SHOP, view.name, "abort", by="ana", reason="no")
    return await journey.drive(engine)


# -- the whole way


async def test_the_whole_journey_holds_for_an_outsider_and_goes_on_when_it_is_enrolled() -> None:
    journey = Journey(Adopted(), plan(ALL_POLICIES, analysis=CAREFUL))
    engine, scene = journey.scene.engine(), journey.scene
    view = await journey.drive(engine, waits())
    assert name_of(view) == "shadow-strict"
    assert "Deployment/web: callers without an identity sent" in view.state.message
    assert "Deployment/legacy in old has no proxy, and its pod template names web.shop" in view.state.message
    assert "fix: kubectl patch deployment legacy -n old" in view.state.message
    assert journey.lost() == {}
    journey.by_owner(lambda: scene.enrol(DEPLOYMENT, "legacy", OUTSIDE))
    view = await journey.drive(engine)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert journey.there() == []
    journey.memory.run(320)
    assert scene.sent("report") > 0
    assert journey.lost() == {}, "of enrolled callers, the CronJob and the outsider among them"
    assert journey.refuses_strangers("web", "greeter", "db")


async def test_plaintext_ports_of_an_exception_stay_open_for_the_outsider() -> None:
    excuse = {"workload": {"name": "web"}, "ports": [8080], "reason": "legacy moves in May", "until": "2026-05-31"}
    journey = Journey(Adopted(), plan(CLASSIC, exceptions=[excuse]))
    view = await journey.drive(journey.scene.engine())
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    journey.memory.run(60)
    assert journey.scene.sent("legacy") > 300
    assert journey.lost() == {}
    assert not journey.refuses_strangers("web")
    journey.memory.traffic.clients.clear()
    assert journey.refuses_strangers("greeter", "db")


async def test_a_caller_that_is_excepted_is_not_waited_for_and_cut_off_in_the_end() -> None:
    excuse = {"workload": {"kind": "DaemonSet", "name": "agent"}, "reason": "it goes in May", "until": "2026-05-31"}
    scene = Adopted(only=frozenset({"web", "front", "agent"}))
    journey = Journey(scene, plan(CLASSIC, exceptions=[excuse]))
    view = await journey.drive(scene.engine())
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    journey.memory.run(60)
    assert set(journey.lost()) == {"agent"}
    assert journey.refuses_strangers("web")


async def test_somebody_who_hides_behind_an_excepted_caller_is_still_waited_for() -> None:
    excuse = {"workload": {"kind": "DaemonSet", "name": "agent"}, "reason": "it goes in May", "until": "2026-05-31"}
    scene = Adopted(only=frozenset({"web", "front", "agent", "legacy"}))
    journey = Journey(scene, plan(CLASSIC, exceptions=[excuse]))
    view = await journey.drive(scene.engine(), waits())
    assert name_of(view) == "shadow-strict"
    assert "Deployment/legacy in old" in view.state.message


async def test_a_cron_job_without_a_proxy_is_named_with_its_next_run_and_the_fix() -> None:
    scene = Adopted(only=frozenset({"web", "front", "report"}))
    for name in ("web", "front"):
        scene.enrol(DEPLOYMENT, name)
    scene.memory.run(60)
    scene.before = scene.owned()
    stages = {key: stage for key, stage in CLASSIC.items() if key != "enrol"}
    journey = Journey(scene, plan(stages, analysis=CAREFUL))
    engine = scene.engine()
    view = await journey.drive(engine, waits())
    assert name_of(view) == "shadow-strict"
    assert "CronJob/report (next run 2026-01-01 00:" in view.state.message
    assert "kubectl patch cronjob report -n shop" in view.state.message
    journey.by_owner(lambda: scene.enrol(CRON_JOB, "report"))
    view = await journey.drive(engine)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    journey.memory.run(320)
    assert scene.sent("report") > 0
    assert journey.lost() == {}


async def test_metrics_that_are_away_for_a_while_hold_and_never_go_back() -> None:
    journey = Journey()
    metrics, seen = journey.memory.metrics, set()

    def trouble(view: RunView) -> bool:
        second = view.now - view.state.started
        metrics.fault = "outage" if 40 <= second < 100 else None
        seen.add((view.state.phase, view.state.reason))
        return False

    view = await journey.drive(journey.scene.engine(), trouble)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    assert (Phase.HOLDING, Reason.METRICS_UNAVAILABLE) in seen
    assert Phase.ROLLING_BACK not in {phase for phase, _ in seen}
    assert journey.there() == []


# -- what goes wrong takes only its own step back


async def test_a_proxy_that_adds_too_much_latency_goes_and_the_others_stay() -> None:
    journey = Journey(plan=plan(EVERYTHING, analysis=CAREFUL))
    journey.memory.behaviour("shop/web:1.0", Behaviour(proxy_seconds=2.0))
    view = await journey.drive(journey.scene.engine())
    assert view.state.phase is Phase.HELD
    assert "latency was" in view.state.message
    journey.memory.run(60)
    assert journey.carried() == {"web": {False}, "front": {True}, "db": {False}}
    assert journey.lost() == {}


async def test_a_proxy_that_never_gets_ready_holds_and_an_abort_takes_it_away() -> None:
    journey = Journey(plan=plan(EVERYTHING, analysis={**CAREFUL, "deadline": "2m"}))
    journey.memory.behaviour("shop/web:1.0", Behaviour(proxy_never_ready=True))
    view = await journey.drive(journey.scene.engine())
    assert view.state.phase is Phase.HELD, view.state.message
    journey.memory.run(60)
    assert journey.carried() == {"web": {False}, "front": {True}, "db": {False}}
    assert journey.lost() == {}


async def test_a_stateful_set_that_sticks_asks_for_the_pod_that_only_a_person_can_delete() -> None:
    journey = Journey(plan=plan(EVERYTHING, analysis={**CAREFUL, "deadline": "2m"}))
    journey.memory.behaviour("shop/db:1.0", Behaviour(proxy_never_ready=True))
    engine = journey.scene.engine()
    view = await journey.drive(engine, lambda it: "kubectl delete pod db-1 -n shop" in it.state.message)
    assert view.state.phase is Phase.ROLLING_BACK, view.state.message
    journey.memory.kill_pod("db-1")
    view = await journey.drive(engine)
    assert view.state.phase is Phase.HELD, view.state.message
    assert journey.carried() == {"web": {True}, "front": {True}, "db": {False}}
    assert journey.lost() == {}


async def test_strict_that_cuts_off_most_callers_is_seen_by_the_volume_within_seconds() -> None:
    """They come after everybody was counted."""
    journey = Journey(plan=plan(CLASSIC, analysis=CAREFUL))
    engine, scene = journey.scene.engine(), journey.scene
    await journey.to(engine, "strict-pods-statefulset-db")
    journey.memory.traffic.add_client("db", SHOP, 200, meshed=False, client_namespace=OUTSIDE)
    journey.memory.run(60)
    assert scene.memory.traffic.ledger.failed == 0
    view = await journey.drive(engine)
    assert view.state.phase is Phase.HELD
    assert "volume was" in view.state.message
    refused = [it.at for it in scene.memory.traffic.ledger.failures if it.cause is Cause.REFUSED]
    assert max(refused) - min(refused) < 60
    scene.memory.traffic.fresh_ledger()
    journey.memory.run(20)
    assert scene.memory.traffic.ledger.failed == 0, "plaintext is accepted again"
    assert journey.broken == []


async def test_strict_against_a_rule_that_turns_mtls_off_is_seen_by_the_callers() -> None:
    journey = Journey(Adopted(only=frozenset({"web", "front", "agent"})), plan(CLASSIC, analysis=CAREFUL))
    engine = journey.scene.engine()
    await journey.to(engine, "strict-pods-deployment-web")
    kind, spec = DESTINATION_RULE, {"host": "web", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    meta = {"name": "plain", "namespace": SHOP}
    journey.memory.apply({"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec})
    view = await journey.drive(engine)
    assert view.state.phase is Phase.HELD
    assert "callers was" in view.state.message or "volume was" in view.state.message
    journey.memory.traffic.fresh_ledger()
    journey.memory.run(20)
    assert journey.lost() == {}


async def test_a_policy_that_forgets_a_caller_is_never_enforced() -> None:
    scene = Adopted(only=frozenset({"web", "front", "agent"}))
    journey = Journey(scene, plan(authorize(allows("web", FRONT)), analysis=CAREFUL))
    view = await journey.drive(scene.engine())
    assert view.state.phase is Phase.HELD
    assert "would-refuse was" in view.state.message
    assert journey.lost() == {}
    policies = {it: found for it, found in scene.owned().items() if it.startswith("AuthorizationPolicy")}
    assert all(it["annotations"]["istio.io/dry-run"] == "true" for it in policies.values())


async def test_a_caller_that_comes_only_under_enforcement_undoes_the_policy() -> None:
    scene = Adopted(only=frozenset({"web", "front", "agent"}))
    calls = [it for it in scene.memory.traffic.clients if it.caller.workload == "agent"]
    for it in calls:
        scene.memory.traffic.clients.remove(it)
    journey = Journey(scene, plan(authorize(allows("web", FRONT)), analysis=CAREFUL))
    engine = scene.engine()
    await journey.to(engine, "policy-1-web")
    scene.memory.traffic.clients.extend(calls)
    view = await journey.drive(engine)
    assert view.state.phase is Phase.HELD, view.state.message
    assert "refused was" in view.state.message
    journey.memory.run(2)
    journey.memory.traffic.fresh_ledger()
    journey.memory.run(20)
    assert journey.lost() == {}


async def test_connections_that_come_only_under_enforcement_undo_the_policy_although_they_are_no_requests() -> None:
    scene = Adopted(only=frozenset({"front", "db", "agent"}))
    journey = Journey(scene, plan(authorize(allows("db", FRONT)), analysis=CAREFUL))
    engine = scene.engine()
    await journey.to(engine, "policy-1-db")
    scene.memory.traffic.add_workload("agent", "db", SHOP, 2, client_namespace=SHOP)
    view = await journey.drive(engine)
    assert view.state.phase is Phase.HELD, view.state.message
    assert "connections was" in view.state.message
    journey.memory.run(2)
    journey.memory.traffic.fresh_ledger()
    journey.memory.run(20)
    assert journey.lost() == {}


async def test_a_git_that_puts_its_template_back_is_not_fought_and_goes_on_when_it_agrees() -> None:
    journey = Journey(plan=plan(EVERYTHING, analysis=CAREFUL))
    scene, put_back = journey.scene, []
    git = scene.memory.get(DEPLOYMENT, "web")["spec"]["template"]

    def reapplied(view: RunView) -> bool:
        found = scene.memory.get(DEPLOYMENT, "web")
        if found["spec"]["template"] != git:
            put_back.append(view.now)
            scene.memory.replace({**found, "spec": {**found["spec"], "template": git}})
        return view.state.phase.ended or view.now - view.state.started > 300

    view = await journey.drive(scene.engine(), reapplied)
    assert (name_of(view), view.state.phase) == ("enrol-deployment-web", Phase.HOLDING)
    assert "somebody else has put back what was there before" in view.state.message
    assert "rollout handoff shop" in view.state.message
    assert 1 <= len(put_back) <= 3
    git["metadata"]["labels"].update(PROXIED)
    view = await journey.drive(scene.engine(), lambda it: reapplied(it) and it.state.phase.ended)
    assert (view.state.phase, journey.lost()) == (Phase.SUCCEEDED, {}), view.state.message
    assert len(put_back) <= 4


async def test_a_git_that_puts_its_mode_back_is_not_fought_and_goes_on_when_it_agrees() -> None:
    journey = Journey(plan=plan(EVERYTHING, analysis=CAREFUL))
    scene, put_back = journey.scene, []
    git = peers("PERMISSIVE")
    journey.by_owner(lambda: scene.memory.apply(git))

    def reapplied(view: RunView) -> bool:
        found = scene.memory.get(PEER_AUTHENTICATION, "default")
        if found["spec"] != git["spec"]:
            put_back.append(view.now)
            scene.memory.replace({**found, "spec": git["spec"]})
        return view.state.phase.ended

    view = await journey.drive(scene.engine(), lambda it: reapplied(it) or (bool(put_back) and waits(1)(it)))
    assert (name_of(view), view.state.phase) == ("strict-namespace", Phase.HOLDING)
    assert "somebody else has put back what was there before" in view.state.message
    assert "rollout handoff shop" in view.state.message
    assert 1 <= len(put_back) <= 3
    git["spec"]["mtls"]["mode"] = "STRICT"
    view = await journey.drive(scene.engine(), reapplied)
    assert (view.state.phase, journey.there()) == (Phase.SUCCEEDED, []), view.state.message
    assert len(put_back) <= 4


def canary_of(journey: Journey, workload: str) -> None:
    """A canary begins."""
    meta = {"name": f"{workload}-abc-1", "namespace": SHOP, "labels": {"meshrollout.dev/target": workload}}
    spec = dump_spec(replace(canary_run(10.0), program=replace(canary_run(10.0).program, workload=workload)))
    journey.memory.apply({"apiVersion": PLAN_RUN.api_version, "kind": PLAN_RUN.name, "metadata": meta, "spec": spec})


async def test_a_canary_that_began_before_its_workload_came_up_is_waited_for() -> None:
    journey = Journey(plan=plan(EVERYTHING, analysis=CAREFUL))
    engine = journey.scene.engine()
    await journey.to(engine, "enrol-deployment-front")
    canary_of(journey, "web")
    view = await journey.drive(engine, waits(1))
    assert name_of(view) == "enrol-deployment-web"
    assert "canary web-abc-1 is under way on Deployment/web; it ends first" in view.state.message
    assert journey.carried()["web"] == {False}
    journey.memory.delete(PLAN_RUN, "web-abc-1")
    view = await journey.to(engine, "permissive")
    assert journey.carried()["web"] == {True}


async def test_an_abort_waits_for_a_canary_as_well() -> None:
    journey = Journey(plan=plan(EVERYTHING, analysis=CAREFUL))
    engine = journey.scene.engine()
    view = await journey.to(engine, "permissive")
    canary_of(journey, "web")
    await engine.order(SHOP, view.name, "abort", by="ana", reason="no")
    view = await journey.drive(engine, lambda it: "canary web-abc-1 is under way" in it.state.message)
    assert view.state.phase is Phase.ROLLING_BACK
    assert journey.carried()["web"] == {True}
    journey.memory.delete(PLAN_RUN, "web-abc-1")
    view = await journey.drive(engine)
    assert (view.state.phase, journey.home()) == (Phase.ABORTED, [])


# -- the way back


async def test_an_abort_at_any_step_returns_everything() -> None:
    steps, step = 1, 0
    while step < steps:
        journey = Journey()
        engine = journey.scene.engine()
        view = await journey.drive(engine, at(step))
        steps = len(view.spec.program.steps) - 1
        view = await aborted(journey, engine, view)
        assert (step, view.state.phase, journey.home()) == (step, Phase.ABORTED, []), view.state.message
        step += 1
    assert step > 15


async def test_an_abort_of_the_whole_shop_returns_every_kind() -> None:
    journey = Journey(Adopted(), plan({"enrol": {}, "permissive": {}}))
    engine = journey.scene.engine()
    view = await journey.to(engine, "permissive")
    journey.memory.run(330)
    assert journey.carried() == {name: {True} for name in ("web", "front", "greeter", "db", "agent")}
    assert any(it.startswith("pods of db") for it in journey.home()), "the test can see what is not home"
    view = await aborted(journey, engine, view)
    assert (view.state.phase, journey.home()) == (Phase.ABORTED, []), view.state.message
