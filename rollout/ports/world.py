"""All ports together: what the engine needs of the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.plan.strategy import AdoptionStrategy, Strategy
from rollout.ports.channel import Channel, Http
from rollout.ports.clock import Clock, Schedules, unscheduled
from rollout.ports.cluster import Cluster
from rollout.ports.hooks import Hooks
from rollout.ports.memo import Memo
from rollout.ports.mesh import Mesh
from rollout.ports.metrics import Metrics
from rollout.ports.router import Router
from rollout.ports.watch import Watcher


@dataclass(frozen=True, slots=True)
class World:
    """The holes, filled: by `bootstrap` for a real cluster, by `adapters.memory` for a simulated one."""

    cluster: Cluster
    metrics: Metrics
    clock: Clock
    routers: Mapping[str, Router]
    strategies: Mapping[str, Strategy]
    identity: str = "rollout"
    """Who holds the lease: host, process and a random part."""
    watcher: Watcher | None = None
    """Who tells a person's terminal what changes; None where it has to look. (A controller has its own stores.)"""
    meshes: Mapping[str, Mesh] = field(default_factory=dict)
    compilers: Mapping[str, AdoptionStrategy] = field(default_factory=dict)
    """The strategies for plans of adoption."""
    schedules: Schedules = unscheduled
    """Reads the schedules of CronJobs."""
    memo: Memo = field(default_factory=Memo)
    """What was read at a price and may be a little old."""
    channels: Mapping[str, Channel] = field(default_factory=dict)
    """The kinds of channels by which people are told."""
    http: Http | None = None
    """Who sends what they are told; None where nobody is."""
    hooks: Hooks | None = None
    """Who calls hooks; None where nobody can."""
