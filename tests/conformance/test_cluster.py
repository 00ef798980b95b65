"""The port `Cluster`: the same suite on the in-memory cluster and on a real API server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.world import World
from rollout.plan.base import Json
from rollout.plan.kinds import NAMESPACE, Ref, ref_of
from rollout.ports.cluster import Cluster, Guard, guard_of
from tests.conformance.cluster_suite import NOT_SERVED, ClusterSuite
from tests.conformance.controllers_suite import ControllersSuite, Sleep


def namespace_object(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def fresh_namespace(cluster: Cluster) -> AsyncIterator[str]:
    made = await cluster.create(namespace_object(f"suite-{uuid.uuid4().hex[:8]}"))
    yield made["metadata"]["name"]
    if (obj := await cluster.get(ref_of(made))) is not None:
        await cluster.delete(Ref(NAMESPACE, "", made["metadata"]["name"]), Guard(guard_of(obj).uid))


class TestMemoryCluster(ClusterSuite):
    @pytest.fixture
    def cluster(self) -> Cluster:
        return MemoryCluster(unserved=[NOT_SERVED])

    @pytest.fixture
    def namespace(self) -> str:
        return "shop"


@pytest.mark.apiserver
class TestKubeCluster(ClusterSuite):
    """`kube_cluster` comes from the lab profile `api`."""

    @pytest.fixture
    def cluster(self, kube_cluster: Cluster) -> Cluster:
        return kube_cluster

    @pytest.fixture
    async def namespace(self, kube_cluster: Cluster) -> AsyncIterator[str]:
        async for name in fresh_namespace(kube_cluster):
            yield name


class TestMemoryControllers(ControllersSuite):
    @pytest.fixture
    def world(self) -> World:
        world = World()
        # as in the lab profile `api`, where there is no node
        world.behaviour("shop/web:1.0", Behaviour(unschedulable_after=0))
        world.behaviour("shop/web:2.0", Behaviour(unschedulable_after=0))
        return world

    @pytest.fixture
    def cluster(self, world: World) -> Cluster:
        return world.cluster

    @pytest.fixture
    def sleep(self, world: World) -> Sleep:
        return world.clock.sleep

    @pytest.fixture
    def namespace(self) -> str:
        return "shop"


@pytest.mark.apiserver
class TestKubeControllers(ControllersSuite):
    """`kube_cluster` comes from the lab profile `api`, which runs the controller-manager."""

    @pytest.fixture
    def cluster(self, kube_cluster: Cluster) -> Cluster:
        return kube_cluster

    @pytest.fixture
    def sleep(self) -> Sleep:
        return asyncio.sleep

    @pytest.fixture
    async def namespace(self, kube_cluster: Cluster) -> AsyncIterator[str]:
        async for name in fresh_namespace(kube_cluster):
            yield name
