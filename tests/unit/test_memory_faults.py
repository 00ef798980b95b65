"""A faulty cluster fails as told, at the call it was told to, and the same way again for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.adapters.memory.faults import GENTLE, Crash, Fault, FaultPlan, FaultyCluster, crash_after_write
from rollout.adapters.memory.store import MemoryCluster
from rollout.errors import AlreadyExists, Conflict, OutcomeUnknown, RolloutError, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, Ref
from rollout.ports.cluster import Cluster, guard_of
from tests.conformance.cluster_suite import NOT_SERVED, ClusterSuite

REF = Ref(CONFIGMAP, "shop", "settings")
RED: Json = {"op": "replace", "path": "/data/colour", "value": "red"}


def config() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"},
        "data": {"colour": "blue"},
    }


def faulty(**plan: Fault) -> FaultyCluster:
    """Faults by number of the write: `w2=Fault.CONFLICT`; of the read: `r1=Fault.STALE`."""
    writes = {int(key[1:]): fault for key, fault in plan.items() if key[0] == "w"}
    reads = {int(key[1:]): fault for key, fault in plan.items() if key[0] == "r"}
    return FaultyCluster(MemoryCluster(), FaultPlan(writes, reads))


async def colour(cluster: FaultyCluster) -> str | None:
    obj = await cluster.inner.get(REF)
    return None if obj is None else obj["data"]["colour"]


class TestWithoutFaults(ClusterSuite):
    """Nothing planned: as good as the cluster inside."""

    @pytest.fixture
    def cluster(self) -> Cluster:
        return FaultyCluster(MemoryCluster(unserved=[NOT_SERVED]), FaultPlan())

    @pytest.fixture
    def namespace(self) -> str:
        return "shop"


async def test_a_crash_after_the_nth_write_leaves_it_written() -> None:
    cluster = FaultyCluster(MemoryCluster(), crash_after_write(2))
    made = await cluster.create(config())
    with pytest.raises(Crash):
        await cluster.patch(REF, [RED], guard_of(made))
    assert await colour(cluster) == "red"
    assert cluster.writes == 2
    assert not isinstance(Crash("x"), Exception)


async def test_a_crash_before_a_write_leaves_nothing_written() -> None:
    cluster = faulty(w1=Fault.CRASH_BEFORE)
    with pytest.raises(Crash):
        await cluster.create(config())
    assert await colour(cluster) is None


@pytest.mark.parametrize(
    ("fault", "error", "written"),
    [
        (Fault.CONFLICT, Conflict, "blue"),
        (Fault.UNAVAILABLE, Unavailable, "blue"),
        (Fault.LOST_BEFORE, OutcomeUnknown, "blue"),
        (Fault.LOST_AFTER, OutcomeUnknown, "red"),
        (Fault.DUPLICATE, Conflict, "red"),
    ],
)
async def test_a_failed_write_is_done_or_not_as_the_fault_says(
    fault: Fault, error: type[RolloutError], written: str
) -> None:
    cluster = faulty(w2=fault)
    made = await cluster.create(config())
    with pytest.raises(error):
        await cluster.patch(REF, [RED], guard_of(made))
    assert await colour(cluster) == written
    assert cluster.met == [(2, fault, "patch ConfigMap/settings in shop")]


async def test_a_create_that_arrives_twice_finds_its_own_object() -> None:
    cluster = faulty(w1=Fault.DUPLICATE)
    with pytest.raises(AlreadyExists):
        await cluster.create(config())
    assert await colour(cluster) == "blue"


async def test_a_delete_that_arrives_twice_is_no_error() -> None:
    cluster = faulty(w2=Fault.DUPLICATE)
    made = await cluster.create(config())
    await cluster.delete(REF, guard_of(made))
    assert await colour(cluster) is None


async def test_somebody_else_writes_between_read_and_write() -> None:
    cluster = faulty(w2=Fault.FOREIGN)
    inner = cluster.inner
    assert isinstance(inner, MemoryCluster)
    made = await cluster.create(config())
    cluster.foreign = lambda: inner.objects.remove(REF)
    with pytest.raises(RolloutError):
        await cluster.patch(REF, [RED], guard_of(made))
    assert await colour(cluster) is None


async def test_a_stale_read_shows_what_was_seen_before() -> None:
    cluster = faulty(r2=Fault.STALE, r5=Fault.STALE)
    made = await cluster.create(config())
    first = await cluster.get(REF)
    await cluster.patch(REF, [RED], guard_of(made))
    assert await cluster.get(REF) == first
    fresh = await cluster.get(REF)
    assert fresh is not None
    assert fresh["data"]["colour"] == "red"
    listed = await cluster.list(CONFIGMAP, "shop")
    await cluster.delete(REF, guard_of(fresh))
    assert await cluster.list(CONFIGMAP, "shop") == listed
    assert await cluster.list(CONFIGMAP, "shop") == []


async def test_dry_runs_are_not_writes() -> None:
    cluster = faulty(w1=Fault.CRASH_BEFORE)
    await cluster.create(config(), dry_run=True)
    assert cluster.writes == 0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32))
async def test_a_seed_reproduces_its_faults(seed: int) -> None:
    async def story() -> tuple[list[tuple[int, Fault, str]], str | None]:
        cluster = FaultyCluster(MemoryCluster(), FaultPlan(rate=0.5, seed=seed, kinds=GENTLE))
        for _ in range(10):
            try:
                obj = await cluster.get(REF) or await cluster.create(config())
                await cluster.patch(REF, [RED], guard_of(obj))
            except RolloutError:
                continue
        assert all(fault in GENTLE for _, fault, _ in cluster.met)
        return cluster.met, await colour(cluster)

    assert await story() == await story()
