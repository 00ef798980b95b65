"""The port `Watcher`: the same suite in memory and on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.ports.cluster import Cluster
from rollout.ports.watch import Watcher
from tests.conformance.cluster_suite import NOT_SERVED
from tests.conformance.test_cluster import fresh_namespace
from tests.conformance.watch_suite import WatchSuite


class TestMemoryWatcher(WatchSuite):
    @pytest.fixture
    def cluster(self) -> MemoryCluster:
        return MemoryCluster(unserved=[NOT_SERVED])

    @pytest.fixture
    def watcher(self, cluster: MemoryCluster) -> Watcher:
        return MemoryWatcher(cluster)

    @pytest.fixture
    def namespace(self) -> str:
        return "shop"


@pytest.mark.apiserver
class TestKubeWatcher(WatchSuite):
    """`kube_cluster` comes from the lab profile `api`."""

    @pytest.fixture
    def cluster(self, kube_cluster: KubeCluster) -> Cluster:
        return kube_cluster

    @pytest.fixture
    def watcher(self, kube_cluster: KubeCluster) -> Watcher:
        return kube_cluster.watcher

    @pytest.fixture
    async def namespace(self, kube_cluster: KubeCluster) -> AsyncIterator[str]:
        async for name in fresh_namespace(kube_cluster):
            yield name
