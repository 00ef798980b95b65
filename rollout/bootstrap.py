"""The only wiring: a real cluster, real metrics, the real clock and the installed plug-ins become one world."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rollout.adapters.channels.http import AioHttp, Refuses
from rollout.adapters.hooks import Calls
from rollout.adapters.hooks.http import LONGEST, HttpCalls
from rollout.adapters.hooks.job import JobCalls
from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.kube.cluster import connect as connect_cluster
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.adapters.schedule import Timetables
from rollout.adapters.serverclock import ServerClock
from rollout.adapters.systemclock import SystemClock
from rollout.controller.batch import Batched
from rollout.controller.cached import CachedCluster
from rollout.controller.leader import Leader
from rollout.controller.loop import Controller
from rollout.controller.plans import Plans
from rollout.controller.process import concerns, scopes
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.notify.choose import Reach
from rollout.notify.office import office
from rollout.plan.called import of_the_engine, of_the_link
from rollout.plan.gate import Provider
from rollout.ports.clock import Clock
from rollout.ports.cluster import Cluster
from rollout.ports.metrics import Metrics
from rollout.ports.router import Router
from rollout.ports.watch import Watcher
from rollout.ports.world import World
from rollout.registry import channels, compilers, meshes, routers, strategies


def identity() -> str:
    """Who we are in leases: host, process, and a part that no other process has."""
    return f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Beat:
    """What a controller looks after."""

    home: str
    """The namespace of its Lease."""
    namespaces: tuple[str, ...] = ()
    """Those whose plans it runs; all when there are none."""
    wanted: Mapping[str, str] = field(default_factory=dict)
    """Labels that a plan must have."""
    routers: tuple[str, ...] = ()
    """By which plans may split traffic; all that are installed when there are none."""
    notifications: bool = True
    """Whether it tells people through their channels."""


@asynccontextmanager
async def controller(
    beat: Beat, *, kubeconfig: str | None, context: str | None, prometheus: str | None
) -> AsyncIterator[Controller]:
    """A controller that walks this beat."""
    clock = ServerClock(SystemClock())
    async with _reached(kubeconfig, context, prometheus, clock, not_for_pods) as (cluster, metrics, lines):
        found = {name: it for name, it in routers().items() if not beat.routers or name in beat.routers}
        me, about = identity(), concerns(found)
        leader = Leader(cluster, clock, me, beat.home, ",".join(beat.namespaces) or "*")
        stores = Stores(scopes(found, beat.namespaces, beat.home if beat.notifications else None), about)
        cached = CachedCluster(cluster, stores, clock, leader.fence)
        world = _world(cached, Batched(metrics), clock, found, me, lines=lines)
        telemetry = Telemetry()
        tells = office(world, Reach(beat.home, beat.namespaces), telemetry.told) if beat.notifications else None
        plans = Plans(world, beat.wanted)
        yield Controller(clock, cluster.watcher, stores, about, plans, leader, telemetry, office=tells)


@asynccontextmanager
async def connect(
    *, kubeconfig: str | None, context: str | None, namespace: str | None, prometheus: str | None
) -> AsyncIterator[tuple[World, str]]:
    """The world behind a kubeconfig, and the namespace in force there."""
    clock = ServerClock(SystemClock())
    async with _reached(kubeconfig, context, prometheus, clock) as (cluster, metrics, lines):
        world = _world(cluster, metrics, clock, routers(), identity(), cluster.watcher, lines=lines)
        yield world, namespace or cluster.namespace or "default"


@dataclass(slots=True)
class _Lines:
    """By whom people are told, and hooks called: these may take long, and say so themselves."""

    hooks: AioHttp
    people: AioHttp = field(default_factory=AioHttp)
    calls: HttpCalls | None = None

    async def close(self) -> None:
        """Give up what is under way, and close all connections."""
        if self.calls is not None:
            await self.calls.close()
        await self.people.close()
        await self.hooks.close()


def not_for_pods(host: str) -> bool:
    """What no hook of a controller calls: of its own pod, a mesh's proxy would obey it."""
    return of_the_link(host) or of_the_engine(host)


def _world(
    cluster: Cluster,
    metrics: Metrics,
    clock: Clock,
    routers: Mapping[str, Router],
    identity: str,
    watcher: Watcher | None = None,
    *,
    lines: _Lines,
) -> World:
    """The world with all plug-ins that are installed."""
    lines.calls = HttpCalls(cluster, lines.hooks)
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
        schedules=Timetables(),
        channels=channels(),
        http=lines.people,
        hooks=Calls(lines.calls, JobCalls(cluster)),
    )


@asynccontextmanager
async def _reached(
    kubeconfig: str | None,
    context: str | None,
    prometheus: str | None,
    clock: ServerClock,
    refuses: Refuses = of_the_link,
) -> AsyncIterator[tuple[KubeCluster, Prometheus, _Lines]]:
    """The cluster, the metrics that it has the Secrets for, and the lines to everybody else."""
    async with connect_cluster(kubeconfig, context, clock.heard) as cluster:
        lines = _Lines(hooks=AioHttp(LONGEST, refuses))
        metrics = Prometheus(cluster.secret, default=Provider(address=prometheus) if prometheus else None)
        try:
            yield cluster, metrics, lines
        finally:
            await lines.close()
            await metrics.close()
