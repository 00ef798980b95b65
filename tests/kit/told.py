"""A namespace with a channel and runs whose story is written by hand; engines that tell of it, one after the other."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.adapters.memory.faults import Crash, FaultPlan, FaultyCluster
from rollout.adapters.memory.world import World
from rollout.controller.status import run_status
from rollout.errors import RolloutError
from rollout.notify.choose import Box, Reach
from rollout.notify.post import Courier
from rollout.plan.base import Json
from rollout.plan.kinds import NOTIFICATION_CHANNEL, PLAN_RUN, Ref
from rollout.plan.run import Note, Phase, State, dump_spec
from rollout.ports.channel import Channel, Http
from rollout.ports.cluster import guard_of
from rollout.registry import channels
from tests.kit.builders import run as run_spec

NS, HOME = "shop", "rollout-system"
CHANNELS = channels()


@dataclass
class Told:
    """The cluster, and who tells."""

    http: Http
    memory: World = field(default_factory=World)
    channels: Mapping[str, Channel] = field(default_factory=lambda: CHANNELS)
    lives: int = 0
    served: tuple[str, ...] = ()
    """The namespaces that engines look after; all when there are none."""

    def channel(self, spec: Json, secret: Mapping[str, str] | None = None, namespace: str = NS) -> Ref:
        """A channel from Git, with its Secret."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in (secret or {}).items()}
        head = {"apiVersion": "v1", "kind": "Secret"}
        self.memory.apply(head | {"metadata": {"name": "hook", "namespace": namespace}, "data": data})
        head = {"apiVersion": NOTIFICATION_CHANNEL.api_version, "kind": "NotificationChannel"}
        self.memory.apply(head | {"metadata": {"name": "team", "namespace": namespace}, "spec": spec})
        self.memory.run(1)
        return Ref(NOTIFICATION_CHANNEL, namespace, "team")

    def run(self, name: str = "web-1", plan: str = "web", namespace: str = NS) -> Ref:
        """A run without a story."""
        spec = replace(run_spec(), plan=plan)
        head = {"apiVersion": PLAN_RUN.api_version, "kind": "PlanRun"}
        self.memory.apply(head | {"metadata": {"name": name, "namespace": namespace}, "spec": dump_spec(spec)})
        return Ref(PLAN_RUN, namespace, name)

    async def happen(
        self,
        run: Ref,
        *events: tuple[str, str],
        phase: Phase = Phase.PROGRESSING,
        warning: bool = False,
        after: float = 1.0,
        forgotten: int = 0,
    ) -> None:
        """The run's story goes on: reasons and texts, each a moment later."""
        stored = self.memory.get(run.kind, run.name, run.namespace)
        notes = [Note(**it) for it in (stored.get("status") or {}).get("state", {}).get("notes", ())]
        for reason, text in events:
            self.memory.run(after)
            notes.append(Note(self.memory.clock.now(), reason, text, warning))
        state = State(phase, 1, notes=tuple(notes)[forgotten:], forgotten=forgotten, started=1.0, weight=10.0)
        status = run_status(stored, run_spec(), state, self.memory.clock.now())
        await self.memory.cluster.put_status(run, status, guard_of(stored))

    def courier(self, faults: FaultPlan | None = None) -> Courier:
        """A new engine, as after a restart."""
        self.lives += 1
        cluster = FaultyCluster(self.memory.cluster, faults or FaultPlan())
        return Courier(
            cluster, self.memory.clock, self.http, self.channels, f"engine-{self.lives}", Reach(HOME, self.served)
        )

    async def tell(self, channel: Ref, courier: Courier | None = None, *, limit: float = 7200.0) -> int:
        """Let an engine tell until there is nothing to tell, or the time is over; the turns that it took."""
        courier, box = courier or self.courier(), Box(channel)
        turns, end = 0, self.memory.clock.now() + limit
        while self.memory.clock.now() < end:
            turns += 1
            try:
                wait = await courier.turn(box)
            except RolloutError:
                wait = 1.0
            if wait == math.inf:
                break
            self.memory.run(min(wait, end - self.memory.clock.now()))
        return turns

    async def survive(self, channel: Ref, faults: FaultPlan) -> FaultyCluster:
        """The same with an engine that dies; another one takes over."""
        first = self.courier(faults)
        try:
            await self.tell(channel, first)
        except Crash:
            self.memory.run(1)
            await self.tell(channel)
        assert isinstance(first.cluster, FaultyCluster)
        return first.cluster

    def status(self, channel: Ref) -> Json:
        """What the channel's status says."""
        found: Json = self.memory.get(channel.kind, channel.name, channel.namespace).get("status") or {}
        return found

    def ready(self, channel: Ref) -> tuple[str, str]:
        """Status and reason of its condition."""
        found: list[Any] = self.status(channel).get("conditions") or [{"status": "", "reason": ""}]
        return found[0]["status"], found[0]["reason"]
