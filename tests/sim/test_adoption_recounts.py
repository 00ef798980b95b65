"""What was counted before somebody was asked is counted again before it is enforced; the callers may be others."""

from __future__ import annotations

from collections.abc import Callable

from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.kinds import AUTHORIZATION_POLICY, DEPLOYMENT, DESTINATION_RULE, PEER_AUTHENTICATION
from rollout.plan.run import Phase
from tests.kit.adopted import OUTSIDE, SHOP, Adopted
from tests.kit.journey import CAREFUL, CLASSIC, Journey, allows, authorize, name_of, plan

WITH_LEGACY = frozenset({"web", "front", "agent", "legacy"})
ASKED: Json = {**CLASSIC, "strict": {"approve": {}}}


def later(journey: Journey, name: str) -> Callable[[], None]:
    """A caller that does not call yet; the result lets it begin."""
    clients = journey.memory.traffic.clients
    mine = [it for it in clients if it.caller.workload == name]
    for it in mine:
        clients.remove(it)
    return lambda: clients.extend(mine)


def holding(view: RunView) -> bool:
    """It waits for a blocker, or is over."""
    state = view.state
    return state.phase.ended or (state.phase is Phase.HOLDING and state.reason is Reason.BLOCKERS)


def modes(journey: Journey) -> set[str]:
    """The modes that are written."""
    return {it["spec"]["mtls"]["mode"] for it in journey.memory.objects.of(PEER_AUTHENTICATION, SHOP)}


async def test_a_caller_that_comes_while_a_person_is_asked_is_counted_before_strict_and_named() -> None:
    journey = Journey(Adopted(only=WITH_LEGACY), plan(ASKED, analysis=CAREFUL))
    engine, scene = journey.scene.engine(), journey.scene
    legacy = later(journey, "legacy")
    view = await journey.drive(engine, lambda it: it.state.phase is Phase.AWAITING_APPROVAL)
    legacy()
    journey.memory.run(600)
    await engine.order(SHOP, view.name, "promote", by="ana", reason="all were counted")
    view = await journey.drive(engine, holding)
    assert (name_of(view), view.state.phase) == ("recount-strict", Phase.HOLDING)
    assert "Deployment/legacy in old has no proxy" in view.state.message
    assert "fix: kubectl patch deployment legacy -n old" in view.state.message
    assert (modes(journey), journey.lost()) == ({"PERMISSIVE"}, {})
    journey.by_owner(lambda: scene.enrol(DEPLOYMENT, "legacy", OUTSIDE))
    view = await journey.drive(engine)
    assert view.state.phase is Phase.SUCCEEDED, view.state.message
    journey.memory.run(60)
    assert (modes(journey), journey.lost()) == ({"STRICT"}, {})


async def test_a_retry_counts_again_the_workload_that_went_back() -> None:
    journey = Journey(Adopted(only=WITH_LEGACY), plan(CLASSIC, analysis=CAREFUL))
    engine = journey.scene.engine()
    legacy = later(journey, "legacy")
    view = await journey.to(engine, "strict-deployment-web")
    stranger = journey.memory.traffic.add_client("web", SHOP, 400, meshed=False, client_namespace=OUTSIDE)
    journey.memory.run(60)
    view = await journey.drive(engine)
    assert (name_of(view), view.state.phase) == ("recount-deployment-web", Phase.HELD), view.state.message
    journey.memory.traffic.clients.remove(stranger)
    legacy()
    journey.memory.traffic.fresh_ledger()
    journey.memory.run(60)
    await engine.order(SHOP, view.name, "retry", by="ana", reason="again")
    view = await journey.drive(engine, holding)
    assert name_of(view) == "recount-deployment-web"
    assert "Deployment/legacy in old has no proxy" in view.state.message
    assert journey.lost() == {}


async def test_an_engine_that_was_away_since_it_wrote_strict_sees_what_that_broke() -> None:
    journey = Journey(Adopted(only=WITH_LEGACY - {"legacy"}), plan(CLASSIC, analysis=CAREFUL))
    engine = journey.scene.engine()
    await journey.to(engine, "strict-deployment-web")
    meta, spec = {"name": "plain", "namespace": SHOP}, {"host": "web", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    rule = {"apiVersion": DESTINATION_RULE.api_version, "kind": DESTINATION_RULE.name, "metadata": meta, "spec": spec}
    journey.memory.apply(rule)
    await journey.drive(engine, lambda _: "STRICT" in modes(journey))
    journey.memory.run(600)
    view = await journey.drive(journey.scene.engine(identity="engine-2"))
    assert (name_of(view), view.state.phase) == ("recount-deployment-web", Phase.HELD), view.state.message
    assert "of the traffic before" in view.state.message
    assert modes(journey) == {"PERMISSIVE"}


async def test_what_a_policy_would_refuse_is_counted_again_before_it_is_enforced() -> None:
    journey = Journey(Adopted(only=WITH_LEGACY - {"legacy"}), plan(authorize(allows("web", "shop/front"))))
    engine, scene = journey.scene.engine(), journey.scene
    agent = later(journey, "agent")
    view = await journey.to(engine, "recount-1-web")
    await engine.order(SHOP, view.name, "pause", by="ana", reason="lunch")
    view = await journey.drive(engine, lambda it: it.state.phase is Phase.PAUSED)
    agent()
    scene.memory.run(60)
    await engine.order(SHOP, view.name, "resume", by="ana", reason="back")
    view = await journey.drive(engine)
    assert (name_of(view), view.state.phase) == ("recount-1-web", Phase.HELD)
    assert "would-refuse was" in view.state.message
    written = scene.memory.objects.of(AUTHORIZATION_POLICY, SHOP)
    assert all(it["metadata"]["annotations"]["istio.io/dry-run"] == "true" for it in written)
    assert journey.lost() == {}


async def test_strict_that_cuts_off_the_scrape_of_an_application_is_taken_back() -> None:
    """It is no request and no caller: only that Prometheus gets no answer any more tells of it."""
    journey = Journey(Adopted(only=WITH_LEGACY - {"legacy"}), plan(CLASSIC, analysis=CAREFUL))
    journey.memory.metrics.targets["web"] = 9090
    engine = journey.scene.engine()
    began: list[float] = []

    def locked(view: RunView) -> bool:
        if name_of(view) == "strict-pods-deployment-web" and not began:
            began.append(view.now)
        return False

    view = await journey.drive(engine, locked)
    assert (name_of(view), view.state.phase) == ("recount-deployment-web", Phase.HELD)
    assert "scrapes was 1 targets that Prometheus no longer gets an answer from" in view.state.message
    assert view.now - began[0] < 40
    journey.memory.run(10)
    assert await journey.scene.scalar('min(up{namespace="shop"})') == 1, "it is scraped again"
    assert (modes(journey), journey.lost(), journey.broken) == ({"PERMISSIVE"}, {}, [])
