"""A namespace on its way into the mesh under one controller, which finds the plan in Git."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.adapters.memory.faults import FaultPlan, FaultyCluster
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.controller.cached import CachedCluster
from rollout.controller.leader import Leader
from rollout.controller.loop import Controller
from rollout.controller.plans import Plans
from rollout.controller.process import TICK, concerns, scopes
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.plan.base import Json
from rollout.plan.kinds import MESH_ADOPTION_PLAN, PLAN_DECISION, PLAN_RUN
from rollout.ports.clock import Clock
from tests.kit.adopted import SHOP, Adopted

QUICK: Json = {"interval": "2s", "observe": "4s", "deadline": "10m"}
SLOW: Json = {**QUICK, "observe": "20s"}
"""Each step lasts long enough to be news."""
ENROL: Json = {"enrol": {}, "permissive": {}}


def plan(name: str = "shop", stages: Mapping[str, Any] | None = None, **spec: Any) -> Json:
    head: Json = {"apiVersion": MESH_ADOPTION_PLAN.api_version, "kind": MESH_ADOPTION_PLAN.name}
    body = {"stages": ENROL if stages is None else stages, "analysis": QUICK, **spec}
    return {**head, "metadata": {"name": name, "namespace": SHOP}, "spec": body}


@dataclass
class Space:
    """The namespace with one controller, which follows its watches."""

    scene: Adopted = field(default_factory=Adopted)
    clock: Clock | None = None
    """Another one around the scene's."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = self.scene.memory
        self.asked = FaultyCluster(self.memory.cluster, FaultPlan())
        given = self.scene.world()
        clock = self.clock or self.memory.clock
        leader = Leader(self.memory.cluster, clock, "controller-1")
        about = concerns(given.routers)
        stores = Stores(scopes(given.routers, ()), about)
        cached = CachedCluster(self.asked, stores, clock, leader.fence)
        world = replace(given, cluster=cached, clock=clock, identity="controller-1")
        watcher = MemoryWatcher(self.memory.cluster, self.memory.clock)
        self.controller = Controller(clock, watcher, stores, about, Plans(world), leader, Telemetry())
        self.next_campaign = 0.0

    async def until(self, done: Callable[[], bool], limit: float = 900.0) -> None:
        end = self.memory.clock.now() + limit
        while not done():
            assert self.memory.clock.now() < end, f"not within {limit:g} s: {self.status()}"
            await self._step()
            await (self.clock or self.memory.clock).sleep(TICK)

    async def passed(self, seconds: float) -> None:
        end = self.memory.clock.now() + seconds
        await self.until(lambda: self.memory.clock.now() >= end, seconds + 1)

    async def _step(self) -> None:
        now = self.controller.clock.monotonic()
        if now >= self.next_campaign:
            self.next_campaign = now + await self.controller.leader.campaign()
        await _breathe()
        self.controller.tick()
        await self.controller.settled()
        await _breathe()

    def status(self, name: str = "shop") -> Json:
        found: Json = self.memory.get(MESH_ADOPTION_PLAN, name).get("status") or {}
        return found

    def phase(self, name: str = "shop") -> str:
        return str(self.status(name).get("phase", ""))

    def ready(self, name: str = "shop") -> str:
        return next((c["status"] for c in self.status(name).get("conditions", ()) if c["type"] == "Ready"), "")

    def runs(self) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.memory.objects.of(PLAN_RUN)]

    def order(self, verb: str, **more: Any) -> None:
        run = self.memory.get(PLAN_RUN, self.runs()[-1])
        spec = {"kind": "MeshAdoptionPlan", "plan": "shop", "run": run["metadata"]["name"], "by": "ana", "verb": verb}
        meta = {"name": f"{verb}-{self.memory.objects.births}", "namespace": SHOP}
        head = {"apiVersion": PLAN_DECISION.api_version, "kind": PLAN_DECISION.name, "metadata": meta}
        self.memory.apply({**head, "spec": {**spec, "runUid": run["metadata"]["uid"], **more}})

    def notes(self) -> str:
        state = self.memory.get(PLAN_RUN, self.runs()[-1])["status"]["state"]
        return "\n".join(f"{note['reason']}: {note['message']}" for note in state.get("notes", ()))


async def _breathe() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@asynccontextmanager
async def space(**given: Any) -> AsyncIterator[Space]:
    found = Space(**given)
    found.tasks = [asyncio.create_task(found.controller.follow(it)) for it in found.controller.stores.scopes]
    try:
        yield found
    finally:
        for task in found.tasks:
            task.cancel()
        await asyncio.gather(*found.tasks, return_exceptions=True)
