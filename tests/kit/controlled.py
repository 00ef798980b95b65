"""The simulated shop under the controller: plans come from Git, nobody runs a command.

One process after the other, or several at once; each has its own memory, watches and lease.  Time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from rollout.adapters.memory.faults import Crash, Fault, FaultPlan, FaultyCluster
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.controller.cached import CachedCluster
from rollout.controller.leader import Leader
from rollout.controller.loop import Controller
from rollout.controller.plans import Plans
from rollout.controller.process import TICK, concerns, scopes
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN
from rollout.plan.run import Phase
from rollout.ports.cluster import Cluster
from rollout.ports.world import World
from tests.kit.sim import ROUTERS, STRATEGIES, Sim


@dataclass
class Process:
    """One controller process."""

    sim: Sim
    identity: str
    cluster: Cluster
    stopped: bool = False
    """As after SIGSTOP: it does nothing, and time goes on."""
    dead: bool = False
    controller: Controller = field(init=False)
    watcher: MemoryWatcher = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _next_campaign: float = 0.0

    def __post_init__(self) -> None:
        memory = self.sim.memory
        clock = memory.clock
        self.watcher = MemoryWatcher(memory.cluster)
        leader = Leader(self.cluster, clock, self.identity)
        stores = Stores(scopes(ROUTERS, ()), concerns(ROUTERS))
        cached = CachedCluster(self.cluster, stores, clock, leader.fence)
        world = World(cached, memory.metrics, clock, ROUTERS, STRATEGIES, self.identity)
        self.controller = Controller(clock, self.watcher, stores, concerns(ROUTERS), Plans(world), leader, Telemetry())

    def start(self) -> None:
        """Begin to watch."""
        self._tasks = [asyncio.create_task(self.controller.follow(s)) for s in self.controller.stores.scopes]

    async def step(self) -> None:
        """One tick, with everything that comes of it.

        Raises:
            Crash: the process dies here.
        """
        if self.stopped or self.dead:
            return
        now = self.controller.clock.monotonic()
        try:
            if now >= self._next_campaign:
                self._next_campaign = now + await self.controller.leader.campaign()
            await _breathe()
            self.controller.tick()
            await self.controller.settled()
            await _breathe()
        except Crash:
            await self.kill()
        if self._crashed():  # in a turn, which is a task of its own
            await self.kill()

    def _crashed(self) -> bool:
        met = self.cluster.met if isinstance(self.cluster, FaultyCluster) else ()
        return any(fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER) for _, fault, _ in met)

    async def kill(self) -> None:
        """kill -9."""
        self.dead = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _breathe() -> None:
    """Let the watches deliver."""
    for _ in range(4):
        await asyncio.sleep(0)


@dataclass
class Controlled:
    """A shop whose plan is in Git, and the controllers that look after it."""

    sim: Sim
    processes: list[Process] = field(default_factory=list)
    restart: bool = True
    """Whether a process that dies is followed by another, as in a Deployment."""

    def spawn(
        self, identity: str = "controller-1", faults: FaultPlan | None = None, foreign: Callable[[], None] | None = None
    ) -> Process:
        """A new process; with faults of its own."""
        cluster: Cluster = self.sim.memory.cluster
        if faults is not None:
            cluster = FaultyCluster(cluster, faults, foreign or (lambda: None))
        process = Process(self.sim, identity, cluster)
        process.start()
        self.processes.append(process)
        return process

    async def until(self, done: Callable[[], bool], limit: float = 600.0) -> None:
        """Let time pass until something is true.

        Raises:
            AssertionError: it never was.
        """
        clock = self.sim.memory.clock
        end = clock.now() + limit
        while not done():
            assert clock.now() < end, f"not within {limit:g} s; {self.story()}"
            for process in self.processes:
                await process.step()
            if self.restart and all(process.dead for process in self.processes):
                self.spawn(f"controller-{len(self.processes) + 1}")
            await clock.sleep(TICK)

    async def passed(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.sim.memory.clock.now() + seconds
        await self.until(lambda: self.sim.memory.clock.now() >= end, seconds + 1)

    def commit(self, plan: Json | None = None) -> None:
        """The plan comes from Git."""
        self.sim.memory.apply(plan or self.sim.plan)

    def release(self, image: str) -> None:
        """A new image comes from Git."""
        self.sim.memory.set_image("web", image)

    def plan(self) -> Json:
        """The plan as it is stored."""
        return self.sim.memory.get(CANARY_PLAN, "web")

    def phase(self) -> str:
        """The phase that the plan's status shows."""
        return str((self.plan().get("status") or {}).get("phase", ""))

    def ended(self, phase: Phase) -> Callable[[], bool]:
        """Whether the plan shows this end, and the run's finalizer is gone."""
        return lambda: (
            self.phase() == phase and not (self.sim.latest() or {"metadata": {}})["metadata"].get("finalizers")
        )

    def story(self) -> str:
        """For failures: how far it got."""
        run = self.sim.latest()
        notes = ((run or {}).get("status") or {}).get("state", {}).get("notes", [])
        return f"plan {self.plan().get('status')}, run notes {[n['message'] for n in notes][-5:]}"

    async def close(self) -> None:
        """End all processes."""
        for process in self.processes:
            await process.kill()
