"""The only wiring: a real cluster, real metrics, the real clock and the installed plug-ins become one world."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rollout.adapters.kube.cluster import connect as connect_cluster
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.adapters.systemclock import SystemClock
from rollout.plan.gate import Provider
from rollout.ports.world import World
from rollout.registry import routers, strategies


def identity() -> str:
    """Who we are in leases: host, process, and a part that no other process has."""
    return f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"


@asynccontextmanager
async def connect(
    *, kubeconfig: str | None, context: str | None, namespace: str | None, prometheus: str | None
) -> AsyncIterator[tuple[World, str]]:
    """The world behind a kubeconfig, and the namespace in force there."""
    async with connect_cluster(kubeconfig, context) as cluster:
        default = Provider(address=prometheus) if prometheus else None
        metrics = Prometheus(cluster.secret, default=default)
        try:
            world = World(cluster, metrics, SystemClock(), routers(), strategies(), identity())
            yield world, namespace or cluster.namespace or "default"
        finally:
            await metrics.close()
