"""The only wiring: a real cluster, real metrics, the real clock and the installed plug-ins become one world."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.kube.cluster import connect as connect_cluster
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.adapters.schedule import timetable
from rollout.adapters.systemclock import SystemClock
from rollout.controller.batch import Batched
from rollout.controller.cached import CachedCluster
from rollout.controller.leader import Leader
from rollout.controller.loop import Controller
from rollout.controller.plans import Plans
from rollout.controller.process import concerns, scopes
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.plan.gate import Provider
from rollout.ports.clock import Clock
from rollout.ports.cluster import Cluster
from rollout.ports.metrics import Metrics
from rollout.ports.router import Router
from rollout.ports.watch import Watcher
from rollout.ports.world import World
from rollout.registry import compilers, meshes, routers, strategies


def identity() -> str:
    """Who we are in leases: host, process, and a part that no other process has."""
    return f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"


@asynccontextmanager
async def controller(
    *,
    kubeconfig: str | None,
    context: str | None,
    home: str,
    namespaces: Sequence[str],
    wanted: Mapping[str, str],
    prometheus: str | None,
) -> AsyncIterator[Controller]:
    """A controller of the plans in these namespaces (all when there are none) that have the wanted labels.

    `home` is the namespace of its Lease.
    """
    async with _reached(kubeconfig, context, prometheus) as (cluster, metrics):
        clock, found, me = SystemClock(), routers(), identity()
        leader = Leader(cluster, clock, me, home, ",".join(namespaces) or "*")
        about = concerns(found)
        stores = Stores(scopes(found, namespaces), about)
        cached = CachedCluster(cluster, stores, clock, leader.fence)
        world = _world(cached, Batched(metrics), clock, found, me)
        yield Controller(clock, cluster.watcher, stores, about, Plans(world), leader, Telemetry(), wanted)


@asynccontextmanager
async def connect(
    *, kubeconfig: str | None, context: str | None, namespace: str | None, prometheus: str | None
) -> AsyncIterator[tuple[World, str]]:
    """The world behind a kubeconfig, and the namespace in force there."""
    async with _reached(kubeconfig, context, prometheus) as (cluster, metrics):
        world = _world(cluster, metrics, SystemClock(), routers(), identity(), cluster.watcher)
        yield world, namespace or cluster.namespace or "default"


def _world(
    cluster: Cluster,
    metrics: Metrics,
    clock: Clock,
    routers: Mapping[str, Router],
    identity: str,
    watcher: Watcher | None = None,
) -> World:
    """The world with all plug-ins that are installed."""
    return World(
        cluster,
        metrics,
        clock,
        routers,
        strategies(),
        identity,
        watcher,
        meshes=meshes(),
        compilers=compilers(),
        schedules=timetable,
    )


@asynccontextmanager
async def _reached(
    kubeconfig: str | None, context: str | None, prometheus: str | None
) -> AsyncIterator[tuple[KubeCluster, Prometheus]]:
    """The cluster, and the metrics that it has the Secrets for."""
    async with connect_cluster(kubeconfig, context) as cluster:
        metrics = Prometheus(cluster.secret, default=Provider(address=prometheus) if prometheus else None)
        try:
            yield cluster, metrics
        finally:
            await metrics.close()
