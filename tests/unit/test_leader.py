"""Who leads: at most one candidate may write at any moment, whatever happens to clocks, requests and the Lease."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.world import World as Memory
from rollout.controller.leader import DURATION, FENCE, SERVES, Leader, NotLeading, find
from rollout.errors import Forbidden, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import LEASE, Ref
from rollout.ports.cluster import Cluster, guard_of
from rollout.ports.world import World
from tests.kit.election import LEASE_REF, Stepped, election
from tests.kit.sim import ROUTERS, STRATEGIES

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
