"""Who leads: at most one candidate may write at any moment, whatever happens to clocks, requests and the Lease.

Candidates are stepped by hand: each pauses before and after every request, and anything may happen meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.faults import GENTLE, FaultPlan, FaultyCluster
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.world import World as Memory
from rollout.controller.leader import DURATION, FENCE, NAME, SERVES, Leader, NotLeading, find
from rollout.errors import Forbidden, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import LEASE, Kind, Ref
from rollout.ports.cluster import Cluster, Guard, guard_of
from rollout.ports.world import World
from tests.kit.sim import ROUTERS, STRATEGIES

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
        leading = [c.leader.identity for c in self.candidates if c.leader.leading]
        assert len(leading) <= 1, f"{leading} may both write"
        self.led |= set(leading)

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            self.check()

    def one(self, index: int) -> Candidate:
        return self.candidates[index % len(self.candidates)]

    def step(self, index: int) -> None:
        self.one(index).step(self.clock.now())
        self.check()

    def steps(self, index: int) -> None:
        for _ in range(8):
            self.step(index)

    def cancel(self, index: int) -> None:
        self.one(index).cancel(self.clock.now())

    def release(self, index: int) -> None:
        self.one(index).leaving = True

    def calm(self, seconds: float) -> None:
        """Everybody is quick, nothing fails."""
        for _ in range(int(seconds * 2)):
            for index in range(len(self.candidates)):
                self.steps(index)
            self.pass_time(0.5)

    @property
    def leader(self) -> str | None:
        return next((c.leader.identity for c in self.candidates if c.leader.leading), None)

    def lease(self) -> Json | None:
        return self.memory.objects.get(LEASE_REF)

    def edit(self, **spec: Any) -> None:
        """Somebody else edits the Lease; None takes a field away."""
        found = self.lease()
        if found is not None:
            merged = {**(found.get("spec") or {}), **spec}
            self.memory.objects.put({**found, "spec": {k: v for k, v in merged.items() if v is not None}})

    def delete(self, _: int) -> None:
        self.memory.objects.remove(LEASE_REF)

    def steal(self, index: int) -> None:
        self.edit(holderIdentity="somebody" if index >= len(self.candidates) else f"c{index}")

    def duration(self, seconds: int | None) -> None:
        self.edit(leaseDurationSeconds=seconds)

    def empty(self, whole: bool) -> None:
        found = self.lease()
        if found is not None and whole:
            self.memory.objects.put({key: value for key, value in found.items() if key != "spec"})
        else:
            self.edit(holderIdentity="", leaseDurationSeconds=15)


def election(number: int, skew: float = 0.0, rate: float = 0.0, seed: int = 0) -> Election:
    clock = VirtualClock()
    memory = MemoryCluster(clock.now)
    candidates = []
    for index in range(number):
        plan = FaultPlan(rate=rate, seed=seed + index, kinds=GENTLE)
        skewed = Skewed(clock, skew * index, clock.now() - 100.0 * index)
        leader = Leader(Stepped(FaultyCluster(memory, plan)), skewed, f"c{index}", _random=random.Random(seed + index))
        candidates.append(Candidate(leader))
    return Election(candidates, memory, clock)


ACTS = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 2)),
    st.tuples(st.just("step"), st.integers(0, 2)),
    st.tuples(st.just("step"), st.integers(0, 2)),
    st.tuples(st.just("steps"), st.integers(0, 2)),
    st.tuples(st.just("pass_time"), st.sampled_from([0.5, 1, 3, 5, 9, 10, 11, 15, 16, 60])),
    st.tuples(st.just("calm"), st.sampled_from([1, 5, 20])),
    st.tuples(st.just("cancel"), st.integers(0, 2)),
    st.tuples(st.just("release"), st.integers(0, 2)),
    st.tuples(st.just("delete"), st.just(0)),
    st.tuples(st.just("steal"), st.integers(0, 3)),
    st.tuples(st.just("duration"), st.sampled_from([None, 0, 2, 15, 30])),
    st.tuples(st.just("empty"), st.booleans()),
)


@settings(max_examples=400)
@given(
    st.lists(ACTS, max_size=60),
    st.integers(2, 3),
    st.sampled_from([0.0, 3600.0, -86_400.0]),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.integers(0, 1000),
)
def test_never_two_at_a_time(story: list[tuple[str, Any]], number: int, skew: float, rate: float, seed: int) -> None:
    """Stopped anywhere, slow or lost requests, cancelled, the Lease deleted, stolen, edited; clocks that disagree."""
    them = election(number, skew, rate, seed)
    for act, value in story:
        getattr(them, act)(value)
        them.check()
    for candidate in them.candidates:
        candidate.leader.cluster = Stepped(them.memory)
    them.calm(60)
    assert them.leader is not None, "in the end somebody leads"
    for candidate in them.candidates:
        candidate.cancel(0)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("skew", [0.0, 7200.0, -7200.0])
def test_one_leads_and_goes_on_leading(number: int, skew: float) -> None:
    them = election(number, skew)
    them.calm(FENCE + 5)
    first = them.leader
    assert first is not None
    them.calm(300)
    assert them.led == {first}
    lease = them.lease()
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == first
    assert lease["spec"]["leaseTransitions"] == 0
    assert lease["metadata"]["annotations"][SERVES] == "*"


def test_a_leader_that_was_stopped_between_two_lines_finds_its_fence_closed() -> None:
    """Whichever line: before the request, while it is under way, before its answer is looked at."""
    for steps in range(8):
        them = election(2)
        them.calm(FENCE + 5)
        name = them.leader
        stopped = next(c for c in them.candidates if c.leader.identity == name)
        other = next(c for c in them.candidates if c is not stopped)
        while them.clock.now() < stopped.next:
            them.pass_time(0.5)
        for _ in range(steps):
            stopped.step(them.clock.now())
        for _ in range(120):
            other.step(them.clock.now())
            them.pass_time(0.5)
        assert other.leader.leading
        with pytest.raises(NotLeading):
            stopped.leader.fence()
        them.calm(30)
        assert them.leader == other.leader.identity, "it does not take it back"


def test_another_takes_over_when_the_leader_is_killed_and_not_before_its_lease_is_over() -> None:
    them = election(2)
    them.calm(FENCE + 5)
    name = them.leader
    them.candidates = [c for c in them.candidates if c.leader.identity != name]
    killed = them.clock.now()
    while them.leader is None:
        them.calm(0.5)
    assert DURATION - 4 <= them.clock.now() - killed <= DURATION + 5


def test_a_read_that_takes_long_does_not_age_what_it_shows() -> None:
    """It was asked for before the leader's last renewal, and answered after it."""
    them = election(2)
    them.calm(FENCE + 5)
    leads = next(c for c in them.candidates if c.leader.leading)
    other = next(c for c in them.candidates if c is not leads)
    while them.clock.now() < other.next:
        them.pass_time(0.5)
    other.step(them.clock.now())  # the read is on its way
    for _ in range(32):
        for _ in range(8):
            leads.step(them.clock.now())
        them.pass_time(0.5)
    for _ in range(20):
        other.step(them.clock.now())
        them.check()
        them.pass_time(0.5)
    assert not other.leader.leading


def test_given_up_it_is_taken_at_once() -> None:
    them = election(2)
    them.calm(FENCE + 5)
    leads = next(c for c in them.candidates if c.leader.leading)
    leads.leaving = True
    for _ in range(8):
        leads.step(them.clock.now())
    assert them.leader is None
    them.candidates.remove(leads)
    them.calm(4)
    assert them.leader == them.candidates[0].leader.identity


def test_while_the_api_server_hangs_nobody_leads_for_longer_than_the_fence() -> None:
    them = election(2)
    them.calm(FENCE + 5)
    them.pass_time(FENCE)
    assert them.leader is None
    them.calm(DURATION + 5)
    assert them.leader is not None


def test_after_an_outage_the_same_goes_on_at_once() -> None:
    """Nobody else has written the Lease: there is nothing to wait for."""
    them = election(1)
    them.calm(FENCE + 5)
    them.pass_time(60)
    assert them.leader is None
    them.calm(1)
    assert them.leader == "c0"


def test_a_leader_without_the_lease_stops_at_its_next_look_and_the_next_begins_after_its_fence() -> None:
    them = election(2)
    them.calm(FENCE + 5)
    them.memory.objects.remove(LEASE_REF)
    gone = them.clock.now()
    them.calm(5)
    assert them.leader is None
    while them.leader is None:
        them.calm(0.5)
    assert them.clock.now() - gone >= FENCE


async def _led(cluster: Cluster, clock: VirtualClock) -> Leader:
    leader = Leader(cluster, clock, "me")
    for _ in range(6):
        await leader.campaign()
        clock.run(3)
    assert leader.leading
    return leader


async def test_a_refusal_is_told_and_closes_the_fence_in_time() -> None:
    clock = VirtualClock()
    cluster = MemoryCluster(clock.now)
    leader = await _led(cluster, clock)
    cluster.deny("patch", LEASE)
    clock.run(FENCE - 4)
    with pytest.raises(Forbidden):
        await leader.campaign()
    clock.run(4)
    with pytest.raises(NotLeading):
        leader.fence()


async def test_an_outage_is_no_error_and_is_tried_again_soon() -> None:
    clock = VirtualClock()

    class Down(MemoryCluster):
        async def get(self, ref: Ref) -> Json | None:
            raise Unavailable("refused")

    leader = Leader(Down(clock.now), clock, "me")
    assert 0 < await leader.campaign() < 3
    assert not leader.leading


async def test_a_second_process_with_the_same_name_does_not_lead_along() -> None:
    """Identities should be unique; when they are not, it waits as behind anybody else."""
    clock = VirtualClock()
    cluster = MemoryCluster(clock.now)
    first, twin = await _led(cluster, clock), Leader(cluster, clock, "me")
    for _ in range(20):
        await first.campaign()
        await twin.campaign()
        assert first.leading
        assert not twin.leading
        clock.run(3)


async def test_people_see_who_leads_and_what_it_serves() -> None:
    memory = Memory()
    world = World(memory.cluster, memory.metrics, memory.clock, ROUTERS, STRATEGIES)
    assert await find(world) is None
    leader = Leader(memory.cluster, memory.clock, "me", serves="shop,front")
    await leader.campaign()
    found = await find(world)
    assert found is not None
    assert (found.identity, found.namespaces, found.alive) == ("me", ("shop", "front"), True)
    assert (found.serves("shop"), found.serves("back")) == (True, False)
    memory.run(60)
    found = await find(world)
    assert found is not None
    assert not found.serves("shop"), "it is dead"
    lease = memory.objects.get(LEASE_REF)
    assert lease is not None
    await memory.cluster.patch(LEASE_REF, [{"op": "remove", "path": "/spec"}], guard_of(lease))
    assert await find(world) is None
