"""The simulated shop under the controller: plans come from Git, nobody runs a command.

One process after the other, or several at once; each has its own memory, watches and lease.  Time is virtual.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.adapters.hooks import Calls as Hooks
from rollout.adapters.hooks.job import JobCalls
from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.faults import Crash, Fault, FaultPlan, FaultyCluster
from rollout.adapters.memory.hooks import MemoryHooks
from rollout.adapters.memory.watch import PERFECT, MemoryWatcher, WatchPlan
from rollout.adapters.serverclock import ServerClock
from rollout.controller.cached import CachedCluster
from rollout.controller.leader import HOME, Leader
from rollout.controller.loop import Controller
from rollout.controller.plans import Plans
from rollout.controller.process import TICK, concerns, scopes
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.notify.choose import Reach
from rollout.notify.office import office
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, PLAN_DECISION, PLAN_RUN, Ref
from rollout.plan.run import Phase
from rollout.ports.channel import Http
from rollout.ports.clock import Clock
from rollout.ports.world import World
from rollout.registry import channels
from tests.kit.link import Ear, Link
from tests.kit.sim import ROUTERS, STRATEGIES, Sim

CHANNELS: Final = channels()
_CRASHES: Final = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)


@dataclass(frozen=True, slots=True)
class Skewed:
    """A clock that is wrong: the wall time by `skew` seconds, and the monotonic one begins somewhere else."""

    true: VirtualClock
    skew: float

    def now(self) -> float:
        """See `ports.clock.Clock.now`."""
        return self.true.now() + self.skew

    def monotonic(self) -> float:
        """See `ports.clock.Clock.monotonic`."""
        return self.true.monotonic() + 1000.0

    async def sleep(self, seconds: float) -> None:
        """See `ports.clock.Clock.sleep`."""
        await self.true.sleep(seconds)


@dataclass
class Process:
    """One controller process."""

    sim: Sim
    identity: str
    faulty: FaultyCluster
    seen: WatchPlan = PERFECT
    """What is wrong with its watches."""
    namespaces: tuple[str, ...] = ()
    """Those that it looks after; all when there are none."""
    skew: float = 0.0
    """Seconds by which its wall clock is wrong."""
    http: Http | None = None
    """By what it tells people."""
    link: Link = field(init=False)
    dead: bool = False
    controller: Controller = field(init=False)
    watcher: MemoryWatcher = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _next_campaign: float = 0.0

    def __post_init__(self) -> None:
        memory = self.sim.memory
        clock: Clock = memory.clock
        self.link = Link(self.faulty, clock, lambda: memory.objects.revision)
        self.watcher = MemoryWatcher(memory.cluster, memory.clock, self.seen)
        clock = self._wrong_clock() if self.skew else clock
        luck = random.Random(f"{self.sim.seed} {self.identity}")
        leader = Leader(self.link, clock, self.identity, _random=luck)
        stores = Stores(scopes(ROUTERS, self.namespaces, HOME if self.http else None), concerns(ROUTERS))
        cached = CachedCluster(self.link, stores, clock, leader.fence)
        told = {"channels": CHANNELS, "http": self.http} if self.http else {}
        told |= {"hooks": Hooks(MemoryHooks(self.sim.outside), JobCalls(cached))}
        world = World(cached, memory.metrics, clock, ROUTERS, STRATEGIES, self.identity, **told)  # type: ignore[arg-type]
        ear, about, telemetry = Ear(self.watcher, self.link.running), concerns(ROUTERS), Telemetry()
        tells = office(world, Reach(HOME, self.namespaces), telemetry.told)
        self.controller = Controller(clock, ear, stores, about, Plans(world), leader, telemetry, office=tells)

    def _wrong_clock(self) -> ServerClock:
        clock = ServerClock(Skewed(self.sim.memory.clock, self.skew))
        self.link.heard = clock.heard
        return clock

    @property
    def stopped(self) -> bool:
        """Whether it stands still, as after SIGSTOP."""
        return not self.link.running.is_set()

    def start(self) -> None:
        """Begin to watch."""
        self._tasks = [asyncio.create_task(self.controller.follow(s)) for s in self.controller.stores.scopes]

    async def step(self) -> None:
        """One tick, with everything that comes of it; or as much of it as comes before the process freezes."""
        if self.stopped or self.dead:
            return
        turn, frozen = asyncio.create_task(self._tick()), asyncio.create_task(self.link.frozen.wait())
        await asyncio.wait([turn, frozen], return_when=asyncio.FIRST_COMPLETED)
        frozen.cancel()
        if not turn.done():
            self._tasks.append(turn)
        elif isinstance(turn.exception(), Crash) or self._crashed():  # there, or in a turn that is a task of its own
            await self.kill()
        else:
            turn.result()

    async def _tick(self) -> None:
        now = self.controller.clock.monotonic()
        if now >= self._next_campaign:
            self._next_campaign = now + await self.controller.campaign()
        await _breathe()
        self.controller.tick()
        await self.controller.settled()
        await _breathe()

    def _crashed(self) -> bool:
        return any(fault in _CRASHES for _, fault, _ in self.faulty.met)

    async def wake(self) -> None:
        """SIGCONT: the write that was under way is sent, and a tick comes before the next election."""
        self._next_campaign = self.controller.clock.monotonic() + TICK
        self.link.thaw()
        await _breathe()

    async def stop(self) -> None:
        """SIGTERM: end in order, unless it dies on the way."""
        with suppress(Crash):
            await self.controller.stop()
        await self.kill()

    async def deafen(self) -> None:
        """No watch has brought anything, and none will: it may not read."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def kill(self) -> None:
        """kill -9."""
        self.dead = True
        tells = self.controller.office
        tasks = [*self._tasks, *self.controller._turns.values(), *(tells._turns.values() if tells else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
    http: Http | None = None
    """By what the processes tell people."""
    again: Callable[[], object] | None = None
    """Starts that other one; an ordinary process without faults if there is nothing said."""
    born: dict[str, str] = field(default_factory=dict)
    """Every run that there ever was: its UID, and the digest of what it tries."""
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sim.memory.objects.watchers.append(self._watch)

    def spawn(
        self,
        identity: str = "",
        faults: FaultPlan | None = None,
        foreign: Callable[[], None] = lambda: None,
        seen: WatchPlan = PERFECT,
        namespaces: tuple[str, ...] = (),
        skew: float = 0.0,
    ) -> Process:
        """A new process; with faults and watches of its own."""
        cluster = FaultyCluster(self.sim.memory.cluster, faults or FaultPlan(), foreign)
        name = identity or f"controller-{len(self.processes) + 1}"
        process = Process(self.sim, name, cluster, seen, namespaces, skew, self.http)
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
                (self.again or self.spawn)()
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

    def order(self, verb: str, name: str = "", **more: object) -> Json:
        """`kubectl create` of an order for the newest run."""
        run = self.sim.latest()
        assert run is not None
        spec = {"plan": "web", "run": run["metadata"]["name"], "runUid": run["metadata"]["uid"], "by": "ana"}
        obj = {
            "apiVersion": PLAN_DECISION.api_version,
            "kind": PLAN_DECISION.name,
            "metadata": {"name": name or f"{verb}-{self.sim.memory.objects.births}", "namespace": "shop"},
            "spec": spec | {"verb": verb} | more,
        }
        return self.sim.memory.apply(obj)

    def plan(self) -> Json:
        """The plan as it is stored; empty when there is none."""
        return self.sim.memory.get(CANARY_PLAN, "web") if self.sim.memory.exists(CANARY_PLAN, "web") else {}

    def phase(self) -> str:
        """The phase that the plan's status shows."""
        return str((self.plan().get("status") or {}).get("phase", ""))

    def run_phase(self) -> str:
        """The phase of the newest run; empty when there is none."""
        return str((self.sim.latest() or {}).get("status", {}).get("phase", ""))

    def runs(self) -> list[Json]:
        """The stored runs."""
        return [obj for ref, obj in self.sim.memory.objects if ref.kind == PLAN_RUN]

    def notes(self) -> list[str]:
        """The story of the newest run, each line with its reason."""
        state = ((self.sim.latest() or {}).get("status") or {}).get("state", {})
        return [f"{note['reason']}: {note['message']}" for note in state.get("notes", [])]

    def ended(self, phase: Phase) -> Callable[[], bool]:
        """Whether the plan shows this end, and the run's finalizer is gone."""
        return lambda: (
            self.phase() == phase and not (self.sim.latest() or {"metadata": {}})["metadata"].get("finalizers")
        )

    def wrong(self, *, promoted: bool | None = None) -> list[str]:
        """What is broken, now that everything should be at rest: the shop's invariants and those of many hands."""
        twice = [digest for digest, count in Counter(self.born.values()).items() if count > 1]
        again = [f"revision {digest} was tried twice" for digest in twice]
        return [*self.broken, *again, *self.sim.at_rest(promoted=promoted)]

    def _watch(self, ref: Ref) -> None:
        """After every write: a plan has one run at a time."""
        found = self.sim.memory.objects.get(ref) if ref.kind == PLAN_RUN else None
        if found is None:
            return
        self.born.setdefault(found["metadata"]["uid"], found["spec"]["revision"].get("digest", ""))
        going = [run for run in self.runs() if not (run.get("status") or {}).get("endedAt")]
        if len(going) > 1:
            self.broken.append(f"runs at the same time: {[run['metadata']['name'] for run in going]}")

    def story(self) -> str:
        """For failures: how far it got."""
        return f"plan {self.plan().get('status')}, run {self.notes()[-5:]}"

    async def close(self) -> None:
        """End all processes."""
        for process in self.processes:
            await process.kill()


@asynccontextmanager
async def shop(
    faults: FaultPlan | None = None, *, seen: WatchPlan = PERFECT, http: Http | None = None, **spec: Any
) -> AsyncIterator[Controlled]:
    """A shop with an idle plan and one controller; `spec` are the fields of `Sim`."""
    world = Controlled(Sim(**spec), http=http)
    world.commit()
    world.spawn(faults=faults, seen=seen)
    await world.until(lambda: world.phase() == "Idle")
    try:
        yield world
    finally:
        await world.close()
