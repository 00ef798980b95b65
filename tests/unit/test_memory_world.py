"""Virtual time, rights, and what the in-memory API server does beyond the shared suite."""

from __future__ import annotations

import time

import pytest

from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.objects import EPOCH, moment_of, rfc3339
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.world import World, shop_deployment
from rollout.errors import Conflict, Forbidden, NotFound, Rejected, Unsupported
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, CONFIGMAP, CRD, DEPLOYMENT, PLAN_RUN, POD, VIRTUAL_SERVICE, Ref
from rollout.ports.cluster import Guard, guard_of


def plan(**spec: object) -> Json:
    return {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "CanaryPlan",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"target": {"name": "web"}, "steps": [{"weight": 10}], **spec},
    }


async def test_sleeping_ticks_each_second_and_waits_for_nobody() -> None:
    clock = VirtualClock()
    ticks: list[float] = []
    clock.each_second(lambda: ticks.append(clock.now() - EPOCH))
    before = time.monotonic()
    await clock.sleep(2.5)
    await clock.sleep(0.25)
    await clock.sleep(3600)
    assert time.monotonic() - before < 5
    assert ticks[:5] == [1.0, 2.0, 2.5, 2.75, 3.0]
    assert clock.now() == EPOCH + 3602.75


async def test_a_pace_makes_a_film_of_it() -> None:
    clock = VirtualClock(pace=100)
    before = time.monotonic()
    await clock.sleep(5)
    assert time.monotonic() - before >= 0.05


def test_moments_are_written_as_kubernetes_writes_them() -> None:
    assert rfc3339(EPOCH + 90.7) == "2026-01-01T00:01:30Z"
    assert moment_of(rfc3339(EPOCH + 90.7)) == EPOCH + 90


async def test_a_denied_verb_is_forbidden_and_said_to_be() -> None:
    cluster = MemoryCluster()
    cluster.deny("create", CONFIGMAP, "shop")
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}}
    assert not await cluster.allowed("create", CONFIGMAP, "shop")
    assert await cluster.allowed("create", CONFIGMAP, "other")
    with pytest.raises(Forbidden):
        await cluster.create(obj)
    assert await cluster.as_somebody_else().create(obj)
    cluster.deny("list", CONFIGMAP)
    with pytest.raises(Forbidden):
        await cluster.list(CONFIGMAP, "shop")
    cluster.permit("list", CONFIGMAP)
    assert len(await cluster.list(CONFIGMAP, "shop")) == 1


async def test_a_cluster_without_istio_does_not_serve_its_kinds() -> None:
    world = World(unserved=[VIRTUAL_SERVICE])
    assert not await world.cluster.serves(VIRTUAL_SERVICE)
    with pytest.raises(Unsupported):
        await world.cluster.list(VIRTUAL_SERVICE)
    assert await world.cluster.get(Ref(VIRTUAL_SERVICE, "shop", "web")) is None


async def test_installing_a_definition_serves_its_kind() -> None:
    cluster = MemoryCluster(unserved=[CANARY_PLAN])
    with pytest.raises(Unsupported):
        await cluster.create(plan())
    names = {"kind": "CanaryPlan", "plural": "canaryplans"}
    spec = {"group": "meshrollout.dev", "names": names, "versions": [{"name": "v1alpha1"}]}
    definition = {
        "apiVersion": CRD.api_version,
        "kind": CRD.name,
        "metadata": {"name": "canaryplans.meshrollout.dev"},
        "spec": spec,
    }
    await cluster.create(definition)
    assert await cluster.serves(CANARY_PLAN)
    assert (await cluster.create(plan()))["metadata"]["generation"] == 1


async def test_plans_are_validated_when_written() -> None:
    cluster = MemoryCluster()
    with pytest.raises(Rejected, match="weihgt"):
        await cluster.create(plan(steps=[{"weihgt": 10}]))
    made = await cluster.create(plan())
    with pytest.raises(Rejected):
        await cluster.patch(
            Ref(CANARY_PLAN, "shop", "web"), [{"op": "add", "path": "/spec/surprise", "value": 1}], guard_of(made)
        )


async def test_fractional_weights_are_rejected_by_istios_schema() -> None:
    cluster = MemoryCluster()
    backends = [{"destination": {"host": "web"}, "weight": 0.5}]
    obj = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"hosts": ["web"], "http": [{"route": backends}]},
    }
    with pytest.raises(Rejected, match="integer"):
        await cluster.create(obj)


async def test_a_patch_that_names_an_old_version_is_a_conflict() -> None:
    cluster = MemoryCluster()
    made = await cluster.create(plan())
    ops = [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]
    with pytest.raises(Conflict):
        await cluster.patch(Ref(CANARY_PLAN, "shop", "web"), ops, Guard(made["metadata"]["uid"]))


async def test_dependents_of_a_deleted_owner_are_collected() -> None:
    world = World()
    owner = await world.cluster.create(plan())
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": "CanaryPlan",
        "name": "web",
        "uid": owner["metadata"]["uid"],
    }
    dependent = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "shop", "ownerReferences": [reference]},
    }
    await world.cluster.create(dependent)
    world.run(2)
    assert world.exists(CONFIGMAP, "a")
    world.delete(CANARY_PLAN, "web")
    world.run(2)
    assert not world.exists(CONFIGMAP, "a")


def test_people_can_apply_scale_and_look() -> None:
    world = World()
    world.deploy_shop(rate=0)
    world.apply(shop_deployment("shop", "web", 2, "shop/web:1.0"))
    world.run(5)
    assert len(world.ready_pods(app="web")) == 2
    with pytest.raises(NotFound):
        world.get(DEPLOYMENT, "nobody")
    with pytest.raises(NotFound):
        world.get(PLAN_RUN, "nobody")


def test_applying_the_same_again_writes_nothing() -> None:
    world = World()
    world.deploy_shop(rate=0)
    before = world.objects.revision
    world.apply(shop_deployment("shop", "web", 3, "shop/web:1.0"))
    assert world.objects.revision == before


def test_a_simulated_roll_takes_milliseconds() -> None:
    """Thousands of runs must take seconds; the bound is generous for a busy machine."""
    before = time.process_time()
    for seed in range(10):
        world = World(seed=seed)
        world.deploy_shop()
        world.set_image("web", "shop/web:2.0")
        world.run(300)
        assert world.traffic.ledger.dropped == 0
        assert len(world.objects.of(POD, "shop")) == 3
    assert (time.process_time() - before) / 10 < 0.5
