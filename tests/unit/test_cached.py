"""The cluster as the controller has it: reads from memory where it knows, writes through the fence."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable, Callable, Collection, Mapping

import pytest

from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.faults import FaultPlan, FaultyCluster
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.controller.cached import BELIEVED, MISSING, SETTLED, CachedCluster
from rollout.controller.leader import NotLeading
from rollout.controller.stores import Stores
from rollout.errors import Conflict, Forbidden, Unavailable, Unsupported
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import (
    CHANGE_FREEZE,
    CONFIGMAP,
    DESTINATION_RULE,
    HPA,
    LEASE,
    PLAN_RUN,
    VIRTUAL_SERVICE,
    Kind,
    Ref,
)
from rollout.ports.cluster import guard_of
from rollout.ports.watch import Blind, Scope

FREEZES = Scope(CHANGE_FREEZE)
SCOPES = (
    Scope(CONFIGMAP, "shop"),
    Scope(LEASE, "", RUN_LABEL),
    Scope(VIRTUAL_SERVICE),
    Scope(DESTINATION_RULE),
    FREEZES,
)
ONE = Ref(CONFIGMAP, "shop", "one")


def thing(kind: Kind, name: str = "one", namespace: str = "shop", **labels: str) -> Json:
    meta = {"name": name, "namespace": namespace, "labels": {RUN_LABEL: "r"} if labels else {}}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": {}}


class Bench:
    """A cached cluster around one that counts."""

    def __init__(self) -> None:
        self.clock = VirtualClock(start=0.1)
        self.memory = MemoryCluster(self.clock.now, unserved=[DESTINATION_RULE])
        self.inner = FaultyCluster(self.memory, FaultPlan())
        self.stores = Stores(SCOPES, {})
        self.open = True
        self.cached = CachedCluster(self.inner, self.stores, self.clock, self._fence)

    def _fence(self) -> None:
        if not self.open:
            raise NotLeading("no")

    async def see(self, *scopes: Scope) -> None:
        """The first lists come."""
        for scope in scopes or SCOPES:
            watch = MemoryWatcher(self.memory).watch(scope)
            self.stores.take(scope, await anext(watch))
            await watch.aclose()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_known_kinds_are_read_from_memory_and_unknown_ones_are_asked_for(bench: Bench) -> None:
    await bench.memory.create(thing(CONFIGMAP))
    assert await bench.cached.get(ONE) is not None
    assert len(await bench.cached.list(CONFIGMAP, "shop")) == 1
    assert bench.inner.reads == 2, "nothing was known yet"
    await bench.see()
    assert await bench.cached.get(ONE) is not None
    assert await bench.cached.get(Ref(CONFIGMAP, "shop", "no")) is None
    assert len(await bench.cached.list(CONFIGMAP, "shop")) == 1
    assert bench.inner.reads == 2, "now all of it is"


async def test_what_no_scope_covers_is_asked_for(bench: Bench) -> None:
    await bench.see()
    await bench.cached.get(Ref(PLAN_RUN, "shop", "x"))
    await bench.cached.get(Ref(CONFIGMAP, "front", "one"))
    await bench.cached.list(CONFIGMAP, "front")
    assert bench.inner.reads == 3


SETTINGS = Ref(CONFIGMAP, "istio-system", "istio")
"""What plans look at in another namespace."""


async def test_settings_of_others_are_believed_for_a_minute(bench: Bench) -> None:
    await bench.see()
    made = await bench.memory.create(thing(CONFIGMAP, "istio", "istio-system"))
    assert await bench.cached.get(SETTINGS) == made
    asked = bench.inner.reads
    changed = await bench.memory.patch(SETTINGS, [{"op": "add", "path": "/data", "value": {}}], guard_of(made))
    assert await bench.cached.get(SETTINGS) == made
    assert bench.inner.reads == asked
    await bench.clock.sleep(SETTLED)
    assert await bench.cached.get(SETTINGS) == changed


async def test_settings_that_are_missing_are_not_asked_for_at_every_turn(bench: Bench) -> None:
    await bench.see()
    assert await bench.cached.get(SETTINGS) is None
    asked = bench.inner.reads
    made = await bench.memory.create(thing(CONFIGMAP, "istio", "istio-system"))
    assert await bench.cached.get(SETTINGS) is None
    assert bench.inner.reads == asked
    await bench.clock.sleep(MISSING)
    assert await bench.cached.get(SETTINGS) == made


async def test_turns_of_one_moment_ask_for_settings_together(bench: Bench) -> None:
    await bench.see()
    assert await bench.cached.get(SETTINGS) is None
    await bench.clock.sleep(MISSING)
    asked = bench.inner.reads
    assert await asyncio.gather(*(bench.cached.get(SETTINGS) for _ in range(5))) == [None] * 5
    assert bench.inner.reads == asked + 1


async def test_settings_that_may_not_be_read_are_never_asked_for(bench: Bench) -> None:
    bench.memory.deny("get", CONFIGMAP, "istio-system")
    await bench.see()
    for _ in range(3):
        with pytest.raises(Forbidden, match="cannot get resource"):
            await bench.cached.get(SETTINGS)
    assert bench.inner.reads == 0
    bench.memory.permit("get", CONFIGMAP, "istio-system")
    await bench.memory.create(thing(CONFIGMAP, "istio", "istio-system"))
    await bench.clock.sleep(BELIEVED)
    assert await bench.cached.get(SETTINGS) is not None


async def test_a_labelled_scope_answers_only_for_that_label(bench: Bench) -> None:
    await bench.memory.create(thing(LEASE))
    await bench.memory.create(thing(LEASE, "two", run="r"))
    await bench.see()
    assert [o["metadata"]["name"] for o in await bench.cached.list(LEASE, "shop", {RUN_LABEL: "r"})] == ["two"]
    assert bench.inner.reads == 0
    assert len(await bench.cached.list(LEASE, "shop")) == 2
    assert await bench.cached.get(Ref(LEASE, "shop", "one")) is not None
    assert bench.inner.reads == 2


async def test_a_kind_that_is_not_served_is_said_so_without_a_request(bench: Bench) -> None:
    await bench.see()
    with pytest.raises(Unsupported) as caught:
        await bench.cached.list(DESTINATION_RULE)
    assert "install" in caught.value.hint
    assert not await bench.cached.serves(DESTINATION_RULE)
    assert await bench.cached.serves(VIRTUAL_SERVICE)
    assert await bench.cached.get(Ref(DESTINATION_RULE, "shop", "x")) is None
    assert bench.inner.reads == 0


async def test_a_kind_of_the_cluster_that_may_not_be_watched_is_said_so_without_a_request(bench: Bench) -> None:
    bench.stores.take(FREEZES, Blind(Forbidden("you may not list changefreezes")))
    for _ in range(3):
        with pytest.raises(Forbidden, match="you may not list changefreezes"):
            await bench.cached.list(CHANGE_FREEZE)
    assert bench.inner.reads == 0
    await bench.see(FREEZES)  # the right has come, and the watch asked again
    assert await bench.cached.list(CHANGE_FREEZE) == []


async def test_the_next_read_sees_our_write_although_no_watch_has_told_of_it(bench: Bench) -> None:
    await bench.see()
    made = await bench.cached.create(thing(CONFIGMAP))
    assert await bench.cached.get(ONE) == made
    ops = [{"op": "add", "path": "/data", "value": {"a": "b"}}]
    changed = await bench.cached.patch(ONE, ops, guard_of(made))
    assert await bench.cached.get(ONE) == changed
    run = await bench.cached.create(thing(VIRTUAL_SERVICE, "vs"))
    assert await bench.cached.list(VIRTUAL_SERVICE) == [run]
    assert bench.inner.reads == 0


@pytest.mark.parametrize("verb", ["patch", "delete"])
async def test_after_a_conflict_the_next_read_sees_what_stood_in_the_way(bench: Bench, verb: str) -> None:
    """While the watch is broken: the answer to a write of our own may have been lost with it."""
    await bench.see()
    made = await bench.cached.create(thing(CONFIGMAP))
    ops = [{"op": "add", "path": "/data", "value": {"a": "b"}}]
    unseen = await bench.memory.patch(ONE, ops, guard_of(made))
    assert await bench.cached.get(ONE) == made
    with pytest.raises(Conflict):
        await WRITES[verb](bench.cached, made)
    assert await bench.cached.get(ONE) == unseen
    assert bench.inner.reads == 1
    await WRITES[verb](bench.cached, unseen)


async def test_a_dry_run_is_not_believed_to_have_happened(bench: Bench) -> None:
    await bench.see()
    await bench.cached.create(thing(CONFIGMAP), dry_run=True)
    assert await bench.cached.get(ONE) is None
    made = await bench.cached.create(thing(CONFIGMAP))
    ops = [{"op": "add", "path": "/data", "value": {"a": "b"}}]
    await bench.cached.patch(ONE, ops, guard_of(made), dry_run=True)
    assert await bench.cached.get(ONE) == made


Write = Callable[[CachedCluster, Json], Awaitable[object]]
WRITES: dict[str, Write] = {
    "create": lambda cached, made: cached.create(thing(CONFIGMAP, "two")),
    "patch": lambda cached, made: cached.patch(ONE, [], guard_of(made)),
    "put_status": lambda cached, made: cached.put_status(ONE, {}, guard_of(made)),
    "delete": lambda cached, made: cached.delete(ONE, guard_of(made)),
}


@pytest.mark.parametrize("verb", WRITES)
async def test_no_write_passes_a_closed_fence(bench: Bench, verb: str) -> None:
    made = await bench.cached.create(thing(CONFIGMAP))
    before, revision = bench.inner.writes, bench.memory.objects.revision
    bench.open = False
    with pytest.raises(NotLeading):
        await WRITES[verb](bench.cached, made)
    assert (bench.inner.writes, bench.memory.objects.revision) == (before, revision)
    assert await bench.cached.get(ONE) is not None, "reading is always allowed"


async def test_rights_are_believed_for_five_minutes(bench: Bench) -> None:
    """Also on a machine that has just booted: its monotonic time is small."""
    assert await bench.cached.allowed("patch", CONFIGMAP, "shop")
    bench.memory.deny("patch", CONFIGMAP)
    bench.clock.run(BELIEVED - 1)
    assert await bench.cached.allowed("patch", CONFIGMAP, "shop")
    assert not await bench.cached.allowed("patch", CONFIGMAP, "front"), "another question"
    bench.clock.run(1)
    assert not await bench.cached.allowed("patch", CONFIGMAP, "shop")
    bench.memory.permit("patch", CONFIGMAP)
    assert not await bench.cached.allowed("patch", CONFIGMAP, "shop")


async def test_plans_that_start_together_ask_for_their_rights_once(bench: Bench) -> None:
    asked = []

    class Counting(MemoryCluster):
        async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
            asked.append(verb)
            await asyncio.sleep(0)
            if len(asked) == 1:
                raise Unavailable("away")
            return True

    cached = CachedCluster(Counting(bench.clock.now), bench.stores, bench.clock, lambda: None)
    many = [cached.allowed("patch", CONFIGMAP, "shop") for _ in range(50)]
    assert {type(answer) for answer in await asyncio.gather(*many, return_exceptions=True)} == {Unavailable}
    many = [cached.allowed("patch", CONFIGMAP, "shop") for _ in range(50)]
    assert all(await asyncio.gather(*many)), "an outage is not remembered"
    assert len(asked) == 2


async def test_plans_that_start_together_share_a_list_that_no_watch_has(bench: Bench) -> None:
    asked = []

    class Counting(MemoryCluster):
        async def list(
            self,
            kind: Kind,
            namespace: str = "",
            labels: Mapping[str, str] | None = None,
            *,
            about: Collection[str] = (),
        ) -> builtins.list[Json]:
            asked.append((kind, namespace, dict(labels or {})))
            await asyncio.sleep(0)
            return []

    cached = CachedCluster(Counting(bench.clock.now), bench.stores, bench.clock, lambda: None)
    many = [cached.list(HPA, "shop") for _ in range(50)]
    await asyncio.gather(*many, cached.list(HPA, "front"), cached.list(HPA, "shop", {"a": "b"}))
    assert asked == [(HPA, "shop", {}), (HPA, "front", {}), (HPA, "shop", {"a": "b"})]
    assert await cached.list(HPA, "shop") == []
    assert len(asked) == 4, "an answer is for those who asked while it was on its way"


async def test_what_a_write_gives_back_is_what_is_kept(bench: Bench) -> None:
    await bench.see()
    made = await bench.cached.create(thing(CONFIGMAP))
    assert await bench.cached.get(ONE) is made


async def test_the_rest_is_the_inner_clusters(bench: Bench) -> None:
    assert await bench.cached.version() == await bench.memory.version()
    assert await bench.cached.serves(PLAN_RUN)
