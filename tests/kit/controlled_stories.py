"""Random stories under controllers: a seed decides the version, who dies, stands still or is cut off, and who meddles.

The same seed tells the same story: `python -m bench.soak --controller --seed N`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.adapters.memory.watch import WatchPlan
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, REPLICASET
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, Process
from tests.kit.sim import BAD, CRASHING, GOOD, Sim, plan
from tests.kit.stories import ENDS, meddle

VERBS = ("abort", "pause", "resume", "retry", "skip", "promote", "full", "undo")
EVENTS = ("stop", "stop", "cut", "blind", "relist", "kill", "quit", "no metrics", "meddle", "meddle", "order")
BUSY = 120
"""Seconds in which things happen."""
OVER = ("Idle", "Invalid", *(str(phase) for phase in Phase if phase.ended))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens."""

    at: float
    what: str
    whom: int
    """Which of the processes, for what happens to one."""
    length: float
    """Seconds until it is over."""
    verb: str


@dataclass(frozen=True, slots=True)
class Story:
    """What a seed stands for."""

    seed: int
    image: str
    own_routes: bool
    hold_policy: bool
    mode: str
    controllers: int
    rate: float
    kinds: tuple[Fault, ...]
    seen: WatchPlan
    meddler: str
    events: tuple[Event, ...]

    @property
    def orders(self) -> frozenset[str]:
        """The verbs that somebody orders."""
        return frozenset(event.verb for event in self.events if event.what == "order")

    @property
    def ends(self) -> frozenset[Phase]:
        """The ends that are right for the newest run."""
        wanted = {ENDS[self.image]}
        if self.orders & {"abort", "undo"}:
            wanted.add(Phase.ABORTED)
        if self.orders & {"skip", "promote", "full", "undo"}:
            wanted.add(Phase.SUCCEEDED)  # a person wanted it without the evidence, or what ran before
        return frozenset(wanted)


def story(seed: int) -> Story:
    """The story of a seed."""
    rng = random.Random(f"controller {seed}")
    own_routes, controllers = rng.random() < 0.6, rng.choice([1, 2, 2])
    return Story(
        seed=seed,
        image=rng.choice([GOOD, GOOD, BAD, CRASHING]),
        own_routes=own_routes,
        hold_policy=rng.random() < 0.6,
        mode=rng.choice(["shift", "shift", "native"]),
        controllers=controllers,
        rate=rng.choice([0.0, 0.01, 0.03]),
        kinds=tuple(rng.sample(list(Fault), rng.randint(2, len(Fault)))),
        seen=_seen(rng, seed),
        meddler=rng.choice(["nobody", "edits", "scales"] if own_routes else ["nobody", "scales"]),
        events=tuple(sorted((_event(rng) for _ in range(rng.randint(0, 5))), key=lambda event: event.at)),
    )


def _seen(rng: random.Random, seed: int) -> WatchPlan:
    late, twice = rng.choice([0.0, 0.0, 1.0, 3.0]), rng.choice([0.0, 0.3])
    return WatchPlan(late, twice, rng.choice([0.0, 0.0, 0.01]), rng.choice([5.0, 20.0]), rng.random(), seed)


def _event(rng: random.Random) -> Event:
    length = rng.choice([2.0, 12.0, 25.0, 60.0])
    return Event(rng.uniform(0, 70), rng.choice(EVENTS), rng.randint(0, 1), length, rng.choice(VERBS))


def world_of(told: Story) -> Controlled:
    """The world at the beginning of a story."""
    wanted = plan(promotion={"mode": told.mode})
    sim = Sim(told.seed, told.own_routes, told.hold_policy, told.image, wanted)
    if not told.hold_policy:  # then the owner has to keep new revisions from rolling by themselves
        web = sim.memory.get(DEPLOYMENT, "web")
        web["spec"]["paused"] = True
        sim.memory.replace(web)
    return Controlled(sim)


async def tell(told: Story, world: Controlled | None = None) -> list[str]:
    """Play a story to its end; what was wrong in it."""
    world = world or world_of(told)
    try:
        await _play(told, world)
        return _judge(told, world)
    finally:
        await world.close()


async def _play(told: Story, world: Controlled) -> None:
    foreign = meddle(world.sim, told.meddler)

    def spawn() -> Process:
        number = len(world.processes)
        faults = FaultPlan(rate=told.rate, seed=told.seed + number, kinds=told.kinds)
        return world.spawn(faults=faults, foreign=foreign, seen=told.seen)

    world.again = spawn
    world.commit()
    for _ in range(told.controllers):
        spawn()
    await world.until(lambda: world.phase() == "Idle")
    world.release(told.image)
    began, over = world.sim.memory.clock.now(), list[tuple[float, Callable[[], object]]]()
    for event in told.events:
        await _let_pass(world, began + event.at, over)
        await _happen(world, event, foreign, over)
    await _let_pass(world, max([began + BUSY, *(at for at, _ in over)]), over)
    while not _at_rest(world):
        if _waits(world):
            _help(world)
            await world.passed(5)  # an order takes effect in time, or never
        await world.until(lambda: _at_rest(world) or _waits(world), limit=900)
    await world.passed(70)


async def _let_pass(world: Controlled, moment: float, over: list[tuple[float, Callable[[], object]]]) -> None:
    """Time passes; what has lasted its time ends."""
    clock = world.sim.memory.clock
    for at, end in sorted((entry for entry in over if entry[0] <= moment), key=lambda entry: entry[0]):
        if at > clock.now():
            await world.passed(at - clock.now())
        result = end()
        if result is not None:
            await result  # type: ignore[misc]  # to wake a process takes a while
        over.remove((at, end))
    if moment > clock.now():
        await world.passed(moment - clock.now())


async def _happen(
    world: Controlled, event: Event, foreign: Callable[[], None], over: list[tuple[float, Callable[[], object]]]
) -> None:
    alive = [process for process in world.processes if not process.dead]
    process = alive[event.whom % len(alive)] if alive else world.processes[-1]
    until = world.sim.memory.clock.now() + event.length
    match event.what:
        case "stop":
            process.link.freeze()
            over.append((until, process.wake))
        case "cut":
            process.link.cut = True
            process.watcher.blind()
            over.append((until, lambda: _mend(process)))
        case "blind":
            process.watcher.blind()
            over.append((until, process.watcher.see))
        case "relist":
            process.watcher.see(relist=True)
        case "kill":
            await process.kill()
        case "quit" if not process.stopped:
            await process.stop()
        case "no metrics":
            world.sim.memory.metrics.fault = "outage"
            over.append((until, lambda: setattr(world.sim.memory.metrics, "fault", None)))
        case "meddle":
            foreign()
        case "order" if world.sim.latest():
            world.order("promote", full=True) if event.verb == "full" else world.order(event.verb)
        case _:
            pass


def _mend(process: Process) -> None:
    process.link.cut = False
    process.watcher.see()


def _waits(world: Controlled) -> bool:
    """Whether a person has to do something."""
    return world.run_phase() in (Phase.PAUSED, Phase.HELD, Phase.AWAITING_APPROVAL)


def _help(world: Controlled) -> None:
    world.order("resume" if world.run_phase() == Phase.PAUSED else "retry")


def _at_rest(world: Controlled) -> bool:
    """Nothing is under way, and the plan shows it."""
    ends = all(run["metadata"].get("finalizers") in (None, []) for run in world.runs())
    return bool(world.runs()) and ends and world.phase() in OVER


def _judge(told: Story, world: Controlled) -> list[str]:
    web: Json = world.sim.memory.get(DEPLOYMENT, "web")
    asked = web["spec"]["template"]["spec"]["containers"][0]["image"]
    runs = {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]
        for ref, rs in world.sim.memory.objects
        if ref.kind == REPLICASET and rs["spec"].get("replicas", 0) > 0
    }
    world.sim.image = asked
    again = told.orders & {"retry", "undo"}
    wrong = [line for line in world.wrong() if not (again and "tried twice" in line)]
    if runs not in ({asked}, {"shop/web:1.0"}):
        wrong.append(f"running are {runs}")
    if runs != {asked} and not web["spec"].get("paused"):
        wrong.append(f"{asked} is asked for, {runs} runs, and nothing holds it")
    if asked != told.image and "undo" not in told.orders:
        wrong.append(f"the Deployment asks for {asked}")
    if world.run_phase() not in told.ends:
        wrong.append(f"ended {world.run_phase()}: {world.story()}")
    return wrong
