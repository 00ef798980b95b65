"""An engine in somebody's terminal and a controller: the one that drives is followed, and succeeded when it dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from rollout.adapters.memory.faults import Crash, Fault, FaultPlan, FaultyCluster
from rollout.controller.lease import DURATION
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import DEPLOYMENT, LEASE
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.link import Link
from tests.kit.sim import BAD, GOOD, Sim, plan
from tests.sim.test_controller_deletions import versions

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
LONG = plan(steps=[{"weight": 50, "hold": "40s"}])


def end(image: str) -> Phase:
    return Phase.SUCCEEDED if image == GOOD else Phase.ROLLED_BACK


@dataclass
class Terminal:
    """`rollout start` in a terminal, in the background."""

    link: Link
    work: asyncio.Task[None]

    @property
    def dead(self) -> bool:
        """Whether it was killed on its way."""
        return self.work.done() and (self.work.cancelled() or isinstance(self.work.exception(), Crash))

    @property
    def stopped(self) -> bool:
        """Whether it stands still, as after SIGSTOP."""
        return not self.link.running.is_set()

    async def kill(self) -> None:
        """kill -9, between two turns."""
        self.work.cancel()
        await asyncio.gather(self.work, return_exceptions=True)


def start(world: Controlled, faults: FaultPlan | None = None) -> Terminal:
    """Somebody types `rollout start --image`."""
    memory = world.sim.memory
    link = Link(memory.cluster, memory.clock, lambda: memory.objects.revision)
    engine = world.sim.engine(FaultyCluster(link, faults or FaultPlan()), "terminal")

    async def work() -> None:
        view = await engine.start(world.sim.plan, images={"app": world.sim.image}, by="ana")
        await engine.drive("shop", view.name, lambda _: None)

    return Terminal(link, asyncio.create_task(work()))


def actions(world: Controlled, *terminals: Terminal) -> Counter[str]:
    """What they all together did to the data path."""
    links = [process.link for process in world.processes] + [terminal.link for terminal in terminals]
    sent = [write for link in links for write in link.sent if write.changed]
    return Counter(str(write) for write in sent if write.ref.kind.group in ("apps", "networking.istio.io"))


def asked(world: Controlled) -> str:
    """The image that the Deployment asks for."""
    web = world.sim.memory.get(DEPLOYMENT, "web")
    return str(web["spec"]["template"]["spec"]["containers"][0]["image"])


def holder(world: Controlled) -> str:
    """Who drives the run, as its lease says."""
    found = world.sim.latest()
    name = found["metadata"]["name"] if found else ""
    leases = [obj for ref, obj in world.sim.memory.objects if ref.kind == LEASE]
    mine = [obj for obj in leases if (obj["metadata"].get("labels") or {}).get(RUN_LABEL) == name]
    return str(mine[0]["spec"]["holderIdentity"]) if mine else ""


@asynccontextmanager
async def without_controller(image: str, wanted: Json = SHORT) -> AsyncIterator[Controlled]:
    """A shop whose plan is there before any controller is."""
    world = Controlled(Sim(plan=wanted, image=image), restart=False)
    world.commit()
    try:
        yield world
    finally:
        await world.close()


async def by_the_terminal(image: str) -> Counter[str]:
    """What is done in the data path when nobody dies."""
    async with without_controller(image) as world:
        terminal = start(world)
        await terminal.work
        assert world.run_phase() == end(image)
        return actions(world, terminal)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("image", [GOOD, BAD], ids=["good", "bad"])
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
async def test_a_terminal_that_is_killed_at_any_write_is_succeeded_by_the_controller(fault: Fault, image: str) -> None:
    wanted, number = await by_the_terminal(image), 0
    while True:
        number += 1
        async with without_controller(image) as world:
            terminal = start(world, FaultPlan(at_write={number: fault}))
            await asyncio.wait([terminal.work])
            if not terminal.dead:
                return terminal.work.result()
            await succeeds(world, image, f"{fault} at write {number}")
            if world.runs():
                assert actions(world, terminal) == wanted, f"{fault} at write {number}"


async def succeeds(world: Controlled, image: str, when: str) -> None:
    """A controller comes, and what the terminal has begun ends right, once."""
    world.spawn()
    if asked(world) == image:
        await world.until(world.ended(end(image)))
        assert len(world.runs()) == 1, when
    else:
        await world.until(lambda: world.phase() == "Idle")
        world.sim.image = "shop/web:1.0"
    await world.passed(40)
    assert world.wrong(promoted=asked(world) == GOOD or None) == [], when


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_terminal_that_was_stopped_beyond_its_lease_changes_nothing_when_it_wakes(when: str) -> None:
    wanted = await by_the_terminal(GOOD)
    number = 2  # label and image are there
    while True:
        number += 1
        async with shop(plan=SHORT, image=GOOD) as world:
            terminal = start(world)
            setattr(terminal.link, f"freeze_{when}", number)
            await world.until(lambda: terminal.stopped or terminal.work.done())  # noqa: B023 - called in this round only
            if terminal.work.done():
                return terminal.work.result()
            await world.passed(DURATION + 6)
            terminal.link.thaw()
            await world.until(world.ended(Phase.SUCCEEDED))
            await world.passed(70)
            assert world.wrong(promoted=True) == [], f"stopped {when} write {number}"
            assert (len(world.runs()), terminal.work.done()) == (1, True)
            assert actions(world, terminal) == wanted, f"stopped {when} write {number}"


async def test_a_controller_touches_nothing_while_a_terminal_drives() -> None:
    async with shop(plan=LONG) as world:
        terminal = start(world)
        await world.until(lambda: holder(world) == "terminal")
        sent = len(world.processes[0].link.sent)
        await world.passed(20)
        by_it = world.processes[0].link.sent[sent:]
        assert by_it == [], [str(write) for write in by_it]
        await terminal.kill()
        await world.until(lambda: holder(world) == "", limit=DURATION + 3)
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []
        assert len(world.runs()) == 1


@pytest.mark.parametrize("by", ["terminal", "controller"])
async def test_runs_are_counted_on_although_old_ones_are_discarded(by: str) -> None:
    few = plan(steps=[{"weight": 50, "hold": "2s"}], history=2)
    async with without_controller(GOOD, few) as world:
        if by == "controller":
            world.spawn()
            await world.until(lambda: world.phase() == "Idle")
        for image in (GOOD, *(f"shop/web:1.{number}" for number in range(3, 6))):
            world.sim.image = image
            if by == "controller":
                world.release(image)
                await world.until(lambda: world.run_phase() == Phase.SUCCEEDED and asked(world) in versions(world))
            else:
                await start(world).work
        await world.passed(5)
        assert [run["spec"]["attempt"] for run in world.runs()] == [3, 4]
