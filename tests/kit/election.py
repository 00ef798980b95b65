"""Candidates for one Lease, stepped by hand: each pauses before and after every request, and anything may happen."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.faults import GENTLE, FaultPlan, FaultyCluster
from rollout.adapters.memory.store import MemoryCluster
from rollout.controller.leader import NAME, Leader
from rollout.plan.base import Json
from rollout.plan.kinds import LEASE, Kind, Ref
from rollout.ports.cluster import Cluster, Guard

T = TypeVar("T")
LEASE_REF = Ref(LEASE, "rollout-system", NAME)


class Pause:
    """Gives control back to whoever steps the coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass
class Stepped:
    """A cluster whose every request takes as long as the schedule wants, on the way there and on the way back."""

    inner: Cluster

    async def _slow(self, do: Callable[[], Awaitable[T]]) -> T:
        await Pause()
        try:
            return await do()
        finally:
            await Pause()

    async def get(self, ref: Ref) -> Json | None:
        return await self._slow(lambda: self.inner.get(ref))

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> list[Json]:
        return await self._slow(lambda: self.inner.list(kind, namespace, labels, about=about))

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        return await self._slow(lambda: self.inner.create(obj, dry_run=dry_run))

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        return await self._slow(lambda: self.inner.patch(ref, ops, guard, dry_run=dry_run))

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        return await self._slow(lambda: self.inner.put_status(ref, status, guard))

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        return await self._slow(lambda: self.inner.delete(ref, guard, foreground=foreground))

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        return await self.inner.allowed(verb, kind, namespace)

    async def serves(self, kind: Kind) -> bool:
        return await self.inner.serves(kind)

    async def version(self) -> str:
        return await self.inner.version()


@dataclass
class Skewed:
    """The clock of one machine: its wall is hours off, and its monotonic time began at another moment."""

    true: VirtualClock
    wall: float
    boot: float

    def now(self) -> float:
        return self.true.now() + self.wall

    def monotonic(self) -> float:
        return self.true.monotonic() - self.boot

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("candidates do not sleep")


@dataclass
class Candidate:
    """One that wants to lead, when it is due next, and what it is in the middle of."""

    leader: Leader
    next: float = 0.0
    task: Coroutine[Any, Any, Any] | None = None
    leaving: bool = False

    def step(self, now: float) -> None:
        """Go on to the next pause; begin a campaign when it is time."""
        if self.task is None:
            if now < self.next and not self.leaving:
                return
            self.task = self.leader.release() if self.leaving else self.leader.campaign()
            self.leaving = False
        try:
            self.task.send(None)
        except StopIteration as done:
            self.task, self.next = None, now + (done.value or 3.0)

    def cancel(self, now: float) -> None:
        """Its own timeout, as in the controller's loop: what is on the wire may be done or not."""
        if self.task is not None:
            self.task.close()
            self.task, self.next = None, now + 1.0


@dataclass
class Election:
    """Some candidates, one Lease, and time."""

    candidates: list[Candidate]
    memory: MemoryCluster
    clock: VirtualClock
    led: set[str] = field(default_factory=set)

    def check(self) -> None:
        """Assert that at most one may write."""
        leading = [c.leader.identity for c in self.candidates if c.leader.leading]
        assert len(leading) <= 1, f"{leading} may both write"
        self.led |= set(leading)

    def pass_time(self, seconds: float) -> None:
        """Time passes, and nobody does anything."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            self.check()

    def one(self, index: int) -> Candidate:
        """A candidate by any number."""
        return self.candidates[index % len(self.candidates)]

    def step(self, index: int) -> None:
        """One goes on to its next pause."""
        self.one(index).step(self.clock.now())
        self.check()

    def steps(self, index: int) -> None:
        """One goes on through all requests of a campaign."""
        for _ in range(8):
            self.step(index)

    def cancel(self, index: int) -> None:
        """One gives up what it is in the middle of."""
        self.one(index).cancel(self.clock.now())

    def release(self, index: int) -> None:
        """One is about to give up the Lease."""
        self.one(index).leaving = True

    def calm(self, seconds: float) -> None:
        """Everybody is quick, nothing fails."""
        for _ in range(int(seconds * 2)):
            for index in range(len(self.candidates)):
                self.steps(index)
            self.pass_time(0.5)

    @property
    def leader(self) -> str | None:
        """Who may write now."""
        return next((c.leader.identity for c in self.candidates if c.leader.leading), None)

    def lease(self) -> Json | None:
        """The Lease as it is stored."""
        return self.memory.objects.get(LEASE_REF)

    def edit(self, **spec: Any) -> None:
        """Somebody else edits the Lease; None takes a field away."""
        found = self.lease()
        if found is not None:
            merged = {**(found.get("spec") or {}), **spec}
            self.memory.objects.put({**found, "spec": {k: v for k, v in merged.items() if v is not None}})

    def delete(self, _: int) -> None:
        """Somebody deletes the Lease."""
        self.memory.objects.remove(LEASE_REF)

    def steal(self, index: int) -> None:
        """Somebody gives it to another, who may be none of these."""
        self.edit(holderIdentity="somebody" if index >= len(self.candidates) else f"c{index}")

    def duration(self, seconds: int | None) -> None:
        """Somebody writes how long it is good for, or takes that out."""
        self.edit(leaseDurationSeconds=seconds)

    def empty(self, whole: bool) -> None:
        """Somebody takes its holder out, or all that it says."""
        found = self.lease()
        if found is not None and whole:
            self.memory.objects.put({key: value for key, value in found.items() if key != "spec"})
        else:
            self.edit(holderIdentity="", leaseDurationSeconds=15)


def election(number: int, skew: float = 0.0, rate: float = 0.0, seed: int = 0) -> Election:
    """So many candidates whose walls are `skew` seconds apart, over requests of which a share of `rate` fails."""
    clock = VirtualClock()
    memory = MemoryCluster(clock.now)
    candidates = []
    for index in range(number):
        plan = FaultPlan(rate=rate, seed=seed + index, kinds=GENTLE)
        skewed = Skewed(clock, skew * index, clock.now() - 100.0 * index)
        leader = Leader(Stepped(FaultyCluster(memory, plan)), skewed, f"c{index}", _random=random.Random(seed + index))
        candidates.append(Candidate(leader))
    return Election(candidates, memory, clock)
