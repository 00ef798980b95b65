"""Whole stories in the simulated cluster: approvals, orders, traffic-only plans, outages."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.metrics import MemoryMetrics
from rollout.controller.foreground import Foreground
from rollout.controller.starting import StartRefused
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, DESTINATION_RULE, POD, VIRTUAL_SERVICE, Kind, Ref
from rollout.plan.run import Phase
from tests.kit.sim import DR, VS, Sim, plan

APPROVAL = plan(steps=[{"weight": 20}, {"approve": {"within": "10m"}}, {"weight": 50}])


async def drive_until(engine: Foreground, view: RunView, phase: Phase) -> RunView:
    return await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.phase is phase)


async def start(sim: Sim, engine: Foreground) -> RunView:
    return await engine.start(sim.plan, images={"app": sim.image}, by="ana")


async def test_an_approval_waits_for_a_person_and_then_goes_on() -> None:
    sim = Sim(plan=APPROVAL)
    engine = sim.engine()
    view = await drive_until(engine, await start(sim, engine), Phase.AWAITING_APPROVAL)
    assert view.state.weight == 20
    await engine.order("shop", view.name, "promote", by="ana", reason="looks good")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert any(n.reason == Reason.APPROVED and "ana: looks good" in n.message for n in view.state.notes)
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize(("otherwise", "end"), [("rollback", Phase.ROLLED_BACK), ("promote", Phase.SUCCEEDED)])
async def test_nobody_answers(otherwise: str, end: Phase) -> None:
    steps: list[Json] = [{"weight": 20}, {"approve": {"within": "30s", "otherwise": otherwise}}]
    sim = Sim(plan=plan(steps=steps))
    view = await sim.run(sim.engine())
    assert view.state.phase is end
    assert any(n.reason == Reason.APPROVAL_EXPIRED for n in view.state.notes)
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_promote_full_skips_the_rest_but_not_the_candidates_readiness() -> None:
    sim = Sim(plan=APPROVAL)
    engine = sim.engine()
    view = await drive_until(engine, await start(sim, engine), Phase.AWAITING_APPROVAL)
    await engine.order("shop", view.name, "promote", by="ana", reason="hotfix", full=True)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED
    assert not any("50 %" in n.message for n in view.state.notes)
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize("fault", ["outage", "no-data", "stale", "many"])
async def test_metrics_that_say_nothing_hold_and_never_roll_back(fault: str) -> None:
    sim = Sim()
    metrics: MemoryMetrics = sim.memory.metrics
    seen: set[str] = set()

    def trouble(view: RunView) -> None:
        second = view.now - view.state.started
        metrics.fault = fault if 10 <= second < 70 else None  # type: ignore[assignment]  # a fault by its name
        if view.state.phase is Phase.HOLDING:
            seen.add(view.state.reason)

    engine = sim.engine()
    view = await start(sim, engine)
    view = await engine.drive("shop", view.name, trouble)
    assert view.state.phase is Phase.SUCCEEDED
    assert seen == {Reason.METRICS_UNAVAILABLE if fault == "outage" else Reason.NO_DATA}
    assert sim.at_rest(promoted=True) == []


def second_version(sim: Sim) -> None:
    """The tutorial: v2 runs beside v1, and the owner's VirtualService sends everything to v1."""
    sim.memory.deploy_shop(name="web2", image="shop/web:1.1", rate=0.0)
    shift = {
        "hosts": ["web"],
        "http": [
            {"match": [{"headers": {"x-test": {"exact": "1"}}}], "route": [{"destination": {"host": "web2"}}]},
            {"retries": {"attempts": 0}, "route": [{"destination": {"host": "web"}}]},
        ],
    }
    sim.memory.apply({**VS, "spec": shift})
    sim.memory.run(10)
    sim.memory.traffic.fresh_ledger()


async def test_a_traffic_only_plan_shifts_the_owners_route_and_leaves_it_shifted() -> None:
    wanted = plan(traffic={"stable": {"host": "web"}, "candidate": {"host": "web2"}, "workloads": ["web", "web2"]})
    wanted["spec"] |= {"service": "web", "steps": [{"weight": 25}, {"weight": 50}]}
    del wanted["spec"]["target"]
    sim = Sim(plan=wanted)
    second_version(sim)
    engine = sim.engine()
    view = await engine.start(sim.plan, images={}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    routes = sim.memory.get(VIRTUAL_SERVICE, "web")["spec"]["http"]
    assert routes[0]["route"] == [{"destination": {"host": "web2"}}]
    assert routes[1]["retries"] == {"attempts": 0}
    weights = {r["destination"]["host"]: r.get("weight", 100) for r in routes[1]["route"]}
    assert weights.get("web2")
    assert not weights.get("web")
    assert sim.memory.traffic.ledger.dropped == 0
    assert sim.memory.objects.get(Ref(DEPLOYMENT, "shop", "web-canary")) is None


async def test_a_traffic_only_plan_that_fails_gives_the_owners_route_back() -> None:
    wanted = plan(traffic={"stable": {"host": "web"}, "candidate": {"host": "web2"}, "workloads": ["web", "web2"]})
    wanted["spec"] |= {"service": "web", "steps": [{"weight": 25}, {"weight": 50}]}
    del wanted["spec"]["target"]
    sim = Sim(plan=wanted)
    second_version(sim)
    from rollout.adapters.memory.behaviour import Behaviour

    sim.memory.behaviour("shop/web:1.1", Behaviour(error_rate=0.3))
    before = sim.memory.get(VIRTUAL_SERVICE, "web")["spec"]
    engine = sim.engine()
    view = await engine.start(sim.plan, images={}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.phase is Phase.ROLLED_BACK, view.state.message
    assert sim.memory.get(VIRTUAL_SERVICE, "web")["spec"] == before


async def test_a_person_with_rights_in_one_namespace_only_can_roll_out_there() -> None:
    sim = Sim(own_routes=True)
    for kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
        sim.memory.cluster.deny("list", kind, "")
    view = await sim.run(sim.engine())
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


@pytest.mark.parametrize(("verb", "kind"), [("list", POD), ("patch", VIRTUAL_SERVICE), ("create", DEPLOYMENT)])
async def test_a_right_that_goes_away_in_mid_run_is_said_and_waited_for(verb: str, kind: Kind) -> None:
    sim = Sim(own_routes=True)
    said: set[str] = set()

    def take_away(view: RunView) -> None:
        second = view.now - view.state.started
        (sim.memory.cluster.deny if 1 <= second < 40 else sim.memory.cluster.permit)(verb, kind)
        if view.state.reason == Reason.REFUSED:
            said.add(view.state.message)

    engine = sim.engine()
    view = await start(sim, engine)
    view = await engine.drive("shop", view.name, take_away)
    assert view.state.phase is Phase.SUCCEEDED
    assert any(verb in text and kind.plural in text for text in said)
    assert sim.at_rest(promoted=True) == []


async def test_a_start_that_the_checks_refuse_leaves_the_deployment_alone() -> None:
    sim = Sim()
    sim.memory.metrics.fault = "outage"
    before = sim.memory.get(DEPLOYMENT, "web")
    with pytest.raises(StartRefused) as refused:
        await start(sim, sim.engine())
    assert [f.code for f in refused.value.findings] == ["RO401"]
    assert sim.memory.get(DEPLOYMENT, "web") == before


@pytest.mark.parametrize("own_route", [False, True])
async def test_callers_who_do_not_see_the_owners_rule_lose_no_request(own_route: bool) -> None:
    """Our subsets are exported as his rule is. Who sees the route and not them would be answered 503."""
    sim = Sim()
    sim.memory.apply({**DR, "spec": DR["spec"] | {"exportTo": ["."]}})
    if own_route:
        sim.memory.apply(VS)
    sim.memory.traffic.add_client("web", "shop", 50.0, client_namespace="front")
    sim.memory.run(5)
    sim.before = sim.data_path()
    sim.memory.traffic.fresh_ledger()
    if own_route:
        with pytest.raises(StartRefused) as refused:
            await start(sim, sim.engine())
        assert [f.code for f in refused.value.findings] == ["RO318"]
        return
    view = await sim.run(sim.engine())
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.memory.traffic.ledger.dropped == 0
    sim.may_leak = True  # the finding RO319 says so
    assert sim.at_rest(promoted=True) == []
