"""The port `Cluster`: the same suite on the in-memory cluster and on a real API server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from rollout.adapters.memory.store import MemoryCluster
from rollout.plan.base import Json
from rollout.plan.kinds import NAMESPACE, Ref, ref_of
from rollout.ports.cluster import Cluster, Guard, guard_of
from tests.conformance.cluster_suite import NOT_SERVED, ClusterSuite


def namespace_object(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


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
        made = await kube_cluster.create(namespace_object(f"suite-{uuid.uuid4().hex[:8]}"))
        yield made["metadata"]["name"]
        if (obj := await kube_cluster.get(ref_of(made))) is not None:
            await kube_cluster.delete(Ref(NAMESPACE, "", made["metadata"]["name"]), Guard(guard_of(obj).uid))
