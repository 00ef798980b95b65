"""Every finding of the checks, each from a world in which it is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rollout import registry
from rollout.adapters.memory.world import World as Simulation
from rollout.adapters.memory.world import shop_deployment, shop_service
from rollout.checks import preflight, run
from rollout.checks.needs import RUN_STATUS
from rollout.cli import demo
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import (
    CANARY_PLAN,
    CHANGE_FREEZE,
    CONFIGMAP,
    DEPLOYMENT,
    HPA,
    LEASE,
    PLAN_DECISION,
    PLAN_RUN,
    PVC,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.ports.world import World


def plan(**spec: Any) -> Json:
    return {**demo.PLAN, "spec": {**demo.PLAN["spec"], **spec}}


def world_of(simulation: Simulation) -> World:
    return World(
        cluster=simulation.cluster,
        metrics=simulation.metrics,
        clock=simulation.clock,
        routers=registry.routers(),
        strategies=registry.strategies(),
    )


async def found(simulation: Simulation, **spec: Any) -> dict[str, Finding]:
    return {it.code: it for it in await preflight(world_of(simulation), plan(**spec))}


@pytest.fixture
def shop() -> Simulation:
    simulation = Simulation()
    simulation.deploy_shop(replicas=2, rate=50)
    simulation.run(5)
    return simulation


async def test_a_sound_shop_has_no_errors_and_no_warnings(shop: Simulation) -> None:
    assert {it.level for it in (await found(shop)).values()} <= {Level.INFO}


def template(shop: Simulation, change: Callable[[Json], None], name: str = "web") -> None:
    """Deploy the shop anew with a changed Deployment."""
    obj = shop_deployment("shop", name, 2, "shop/web:1.0")
    change(obj["spec"])
    shop.delete(DEPLOYMENT, name)
    shop.apply(obj)
    shop.run(10)


def recreate(spec: Json) -> None:
    spec["strategy"] = {"type": "Recreate"}


def host_port(spec: Json) -> None:
    spec["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, "hostPort": 80}]


def queue(spec: Json) -> None:
    spec["template"]["spec"]["containers"][0]["env"] = [{"name": "KAFKA_BROKERS", "value": "x"}]


def consumer(spec: Json) -> None:
    spec["template"]["spec"]["containers"][0]["args"] = ["celery", "-A", "shop", "worker"]


def volume(spec: Json) -> None:
    spec["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]


@pytest.mark.parametrize(
    ("code", "level", "change"),
    [
        ("RO222", Level.ERROR, recreate),
        ("RO223", Level.ERROR, host_port),
        ("RO225", Level.WARNING, queue),
        ("RO225", Level.ERROR, consumer),
    ],
)
async def test_shapes(shop: Simulation, code: str, level: Level, change: Callable[[Json], None]) -> None:
    template(shop, change)
    finding = (await found(shop))[code]
    assert finding.level is level
    assert finding.fix


@pytest.mark.parametrize("change", [queue, consumer])
async def test_pulled_work_that_the_plan_accepts_is_only_mentioned(
    shop: Simulation, change: Callable[[Json], None]
) -> None:
    template(shop, change)
    assert (await found(shop, candidate={"pullsWork": "allow"}))["RO225"].level is Level.INFO


@pytest.mark.parametrize(("mode", "refused"), [("ReadWriteOnce", True), ("ReadWriteMany", False)])
async def test_claims_that_only_one_node_can_mount(shop: Simulation, mode: str, *, refused: bool) -> None:
    meta = {"name": "data", "namespace": "shop"}
    spec = {"accessModes": [mode]}
    shop.apply({"apiVersion": PVC.api_version, "kind": PVC.name, "metadata": meta, "spec": spec})
    template(shop, volume)
    assert ("RO224" in await found(shop)) is refused


async def test_a_target_that_does_not_exist(shop: Simulation) -> None:
    findings = await found(shop, target={"name": "nothing"})
    assert findings["RO220"].level is Level.ERROR
    assert set(findings) <= {"RO220", "RO211"}


async def test_a_target_without_pods(shop: Simulation) -> None:
    shop.scale("web", 0)
    shop.run(10)
    assert (await found(shop))["RO221"].level is Level.ERROR


async def test_an_autoscaler_is_mentioned(shop: Simulation) -> None:
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5}
    meta = {"name": "web", "namespace": "shop"}
    shop.apply({"apiVersion": HPA.api_version, "kind": HPA.name, "metadata": meta, "spec": spec})
    assert (await found(shop))["RO226"].level is Level.INFO


async def test_the_candidates_name_is_taken(shop: Simulation) -> None:
    shop.apply(shop_deployment("shop", "web-canary", 1, "somebody/else:1"))
    assert (await found(shop))["RO231"].level is Level.ERROR


async def test_the_oldest_plan_of_a_target_acts(shop: Simulation) -> None:
    rival = plan()
    shop.apply({**rival, "metadata": {"name": "older", "namespace": "shop"}})
    shop.run(10)
    shop.apply(plan())
    assert "older" in (await found(shop))["RO232"].message
    older = {**plan(), "metadata": {"name": "older", "namespace": "shop"}}
    assert "RO232" not in {it.code for it in await preflight(world_of(shop), older)}


@pytest.mark.parametrize(
    ("labels", "notes", "level"),
    [
        ({"kustomize.toolkit.fluxcd.io/name": "shop"}, {}, Level.ERROR),
        ({"argocd.argoproj.io/instance": "shop"}, {}, Level.ERROR),
        ({"argocd.argoproj.io/instance": "shop"}, {"argocd.argoproj.io/sync-options": "Prune=false"}, None),
        ({"kustomize.toolkit.fluxcd.io/name": "shop"}, {"kustomize.toolkit.fluxcd.io/prune": "disabled"}, None),
        ({}, {}, None),
    ],
)
async def test_configuration_that_gitops_may_prune(
    shop: Simulation, labels: dict[str, str], notes: dict[str, str], level: Level | None
) -> None:
    for name in ("config-1", "config-2"):
        meta = {"name": name, "namespace": "shop", "labels": labels, "annotations": notes}
        shop.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {}})

    def uses(name: str) -> Callable[[Json], None]:
        def change(spec: Json) -> None:
            spec["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": name}}]

        return change

    template(shop, uses("config-1"))
    held = shop.get(DEPLOYMENT, "web")
    uses("config-2")(held["spec"])
    held["spec"]["paused"] = True
    shop.replace(held)
    findings = await found(shop)
    assert (findings["RO230"].level if "RO230" in findings else None) is level
    if level:
        assert "config-1" in findings["RO230"].message


async def test_configuration_that_is_gone_already(shop: Simulation) -> None:
    def uses(spec: Json) -> None:
        source = {"secretRef": {"name": "gone"}}
        spec["template"]["spec"]["containers"][0]["envFrom"] = [source]

    template(shop, uses)
    held = shop.get(DEPLOYMENT, "web")
    del held["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    held["spec"]["paused"] = True
    shop.replace(held)
    assert (await found(shop))["RO230"].level is Level.ERROR


async def test_a_router_that_is_not_installed(shop: Simulation) -> None:
    assert (await found(shop, router={"type": "magic"}))["RO233"].level is Level.ERROR


async def test_a_router_without_its_kinds() -> None:
    simulation = Simulation(unserved=[VIRTUAL_SERVICE])
    simulation.deploy_shop(replicas=2, rate=0)
    assert "VirtualService" in (await found(simulation))["RO233"].message


async def test_routers_findings_are_passed_on(shop: Simulation) -> None:
    headless = shop_service("shop", "web")
    headless["spec"]["clusterIP"] = "None"
    shop.apply(headless)
    assert "RO321" in await found(shop)


@pytest.mark.parametrize(
    ("fault", "code", "level"),
    [
        ("outage", "RO401", Level.ERROR),
        ("no-data", "RO402", Level.WARNING),
        ("stale", "RO404", Level.WARNING),
        ("many", "RO405", Level.ERROR),
    ],
)
async def test_metrics_that_do_not_answer(shop: Simulation, fault: Any, code: str, level: Level) -> None:
    shop.metrics.fault = fault
    finding = (await found(shop))[code]
    assert finding.level is level
    assert finding.fix


OUTSIDE = (
    'sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="shop",'
    'destination_workload="web",connection_security_policy="none"}[5m]))'
)


@pytest.mark.parametrize(("wish", "level"), [("refuse", Level.ERROR), ("accept", Level.WARNING)])
async def test_callers_outside_the_mesh_are_named(shop: Simulation, wish: str, level: Level) -> None:
    assert "RO406" not in await found(shop)
    shop.metrics.set_scalar(OUTSIDE, 3.2)
    finding = (await found(shop, candidate={"outsideCallers": wish}))["RO406"]
    assert finding.level is level
    assert "3.2 requests/s" in finding.message


async def test_an_outage_is_one_finding_however_many_gates_it_hits(shop: Simulation) -> None:
    shop.metrics.fault = "outage"
    assert [it.code for it in await preflight(world_of(shop), plan())].count("RO401") == 1


@pytest.mark.parametrize(
    ("verb", "kind"),
    [("create", VIRTUAL_SERVICE), ("list", VIRTUAL_SERVICE), ("create", DEPLOYMENT), ("patch", RUN_STATUS)],
)
async def test_missing_rights_are_named(shop: Simulation, verb: str, kind: Kind) -> None:
    shop.cluster.deny(verb, kind)
    finding = (await found(shop))["RO204"]
    assert finding.level is Level.ERROR
    assert verb in finding.message
    assert kind.plural.partition("/")[0] in finding.message


async def test_a_controller_is_not_asked_for_the_rights_of_a_person(shop: Simulation) -> None:
    for verb, kind in (("create", CANARY_PLAN), ("create", PLAN_DECISION), ("create", LEASE), ("patch", LEASE)):
        shop.cluster.deny(verb, kind)
    assert "RO204" not in {it.code for it in await preflight(world_of(shop), plan(), unattended=True)}
    shop.cluster.deny("delete", LEASE)
    findings = {it.code: it for it in await preflight(world_of(shop), plan(), unattended=True)}
    assert "may not delete leases" in findings["RO204"].message


async def test_a_person_of_one_namespace_can_split_there_and_is_told_what_stays_unseen(shop: Simulation) -> None:
    shop.cluster.deny("list", VIRTUAL_SERVICE, "")
    finding = (await found(shop))["RO205"]
    assert finding.level is Level.WARNING
    assert "cannot be seen" in finding.message


async def test_who_may_not_see_freezes_is_told_that_none_stops_him(shop: Simulation) -> None:
    shop.cluster.deny("list", CHANGE_FREEZE, "")
    finding = (await found(shop))["RO205"]
    assert finding.level is Level.WARNING
    assert "no freeze" in finding.message


async def test_who_may_not_read_the_meshs_settings_is_told_what_is_assumed(shop: Simulation) -> None:
    shop.cluster.deny("get", CONFIGMAP, "istio-system")
    finding = (await found(shop))["RO205"]
    assert finding.level is Level.WARNING
    assert "ConfigMap/istio in istio-system cannot be read: its defaults are assumed" in finding.message


@pytest.mark.parametrize(("mode", "code"), [("policy", "RO210"), ("paused", "RO212"), ("auto", "RO212")])
async def test_hold_modes_without_the_policy(mode: str, code: str) -> None:
    simulation = Simulation(hold_policy=False)
    simulation.deploy_shop(replicas=2, rate=50)
    assert code in await found(simulation, hold={"mode": mode})


async def test_without_our_kinds_nothing_else_is_looked_at() -> None:
    simulation = Simulation(unserved=[PLAN_RUN])
    results = await run(world_of(simulation), "shop", plan())
    assert [it.state for it in results[:2]] == ["ok", "error"]
    assert {it.state for it in results[2:]} == {"skipped"}
