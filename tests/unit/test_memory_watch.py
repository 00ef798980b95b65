"""The watches of the in-memory cluster: on time, late, blind and forgetful, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.adapters.memory.watch import PERFECT, MemoryWatcher, WatchPlan
from rollout.adapters.memory.world import World
from rollout.errors import Forbidden, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, CRD, METRIC_TEMPLATE, POD
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told
from tests.conformance.cluster_suite import configmap
from tests.kit.ear import Ear, listening

SCOPE = Scope(CONFIGMAP, "shop")
AWFUL = WatchPlan(late=5.0, twice=0.3, breaks=0.2, spell=4.0, forgets=0.5)


def colour(world: World, name: str, value: str) -> None:
    obj = configmap("shop", name)
    obj["data"]["colour"] = value
    world.apply(obj)


def shapes(ear: Ear) -> list[type[Told]]:
    return [type(told) for told in ear.told]


async def heard(world: World, plan: WatchPlan, story: Callable[[World], Awaitable[None]]) -> Ear:
    """What was told of a story, and of the quiet minutes after it."""
    async with listening(MemoryWatcher(world.cluster, world.clock, plan), SCOPE) as ear:
        await ear.until(lambda: bool(ear.told))
        await story(world)
        await world.clock.sleep(120)
    return ear


async def busy(world: World) -> None:
    for number in range(40):
        colour(world, f"c{number % 5}", str(number))
        if number % 7 == 3:
            world.delete(CONFIGMAP, f"c{number % 5}")
        await world.clock.sleep(1)


async def test_without_a_plan_everything_is_told_at_once() -> None:
    world = World()
    async with listening(MemoryWatcher(world.cluster), SCOPE) as ear:
        await ear.hears(Listed)
        colour(world, "a", "red")
        colour(world, "a", "blue")
        world.delete(CONFIGMAP, "a")
        await ear.hears(Listed, Put, Put, Gone)


async def test_what_is_late_comes_later_in_virtual_time_and_in_order() -> None:
    world = World()
    async with listening(MemoryWatcher(world.cluster, world.clock, WatchPlan(late=10.0)), SCOPE) as ear:
        await ear.hears(Listed)
        for number in range(20):
            colour(world, "a", str(number))
        assert shapes(ear) == [Listed]
        await world.clock.sleep(11)
        assert [told.obj["data"]["colour"] for told in ear.told if isinstance(told, Put)] == [
            str(number) for number in range(20)
        ]


async def test_what_is_told_twice_comes_twice_in_a_row() -> None:
    world = World()
    async with listening(MemoryWatcher(world.cluster, world.clock, WatchPlan(twice=1.0)), SCOPE) as ear:
        await ear.hears(Listed)
        colour(world, "a", "red")
        world.delete(CONFIGMAP, "a")
        await ear.hears(Listed, Put, Put, Gone, Gone)


async def test_blind_and_seeing_again_misses_nothing() -> None:
    world = World()
    watcher = MemoryWatcher(world.cluster)
    async with listening(watcher, SCOPE) as ear:
        await ear.hears(Listed)
        watcher.blind()
        watcher.blind(POD)
        colour(world, "a", "red")
        await ear.hears(Listed, Blind)
        watcher.see(CONFIGMAP)
        await ear.hears(Listed, Blind, Seeing, Put)
    assert isinstance(ear.told[1], Blind)
    assert isinstance(ear.told[1].error, Unavailable)


async def test_a_relist_shows_what_was_not_told() -> None:
    world = World()
    watcher = MemoryWatcher(world.cluster)
    colour(world, "a", "red")
    async with listening(watcher, SCOPE) as ear:
        await ear.hears(Listed)
        watcher.blind(CONFIGMAP)
        world.delete(CONFIGMAP, "a")
        colour(world, "b", "red")
        watcher.see(relist=True)
        await ear.hears(Listed, Blind, Listed)
        assert set(ear.objects) == {"b"}
        watcher.see(relist=True)
        await ear.hears(Listed, Blind, Listed, Listed)


async def test_a_missing_right_blinds_until_it_is_given() -> None:
    world = World()
    world.cluster.deny("watch", CONFIGMAP)
    async with listening(MemoryWatcher(world.cluster, world.clock), SCOPE) as ear:
        await ear.hears(Blind)
        world.cluster.permit("watch", CONFIGMAP)
        await world.clock.sleep(1)
        await ear.hears(Blind, Listed)
    assert isinstance(ear.told[0], Blind)
    assert isinstance(ear.told[0].error, Forbidden)


async def test_blind_for_a_reason_of_another_sort_is_told_again() -> None:
    world = World()
    watcher = MemoryWatcher(world.cluster, world.clock)
    async with listening(watcher, SCOPE) as ear:
        await ear.hears(Listed)
        watcher.blind(CONFIGMAP)
        watcher.blind(CONFIGMAP, Forbidden("no right"))
        watcher.blind(CONFIGMAP, Forbidden("no right, still"))
        watcher.blind(CONFIGMAP)
        await ear.hears(Listed, Blind, Blind, Blind)


async def test_a_kind_appears_with_its_definition_and_goes_with_it() -> None:
    world = World(unserved=[METRIC_TEMPLATE])
    watcher = MemoryWatcher(world.cluster, world.clock)
    async with listening(watcher, Scope(METRIC_TEMPLATE, "shop")) as ear:
        await ear.hears(Listed)
        world.apply(definition())
        await ear.hears(Listed, Listed)
        world.cluster.server.unserved.add(METRIC_TEMPLATE)
        await world.clock.sleep(1)
        await ear.hears(Listed, Listed, Listed)
    assert [told.served for told in ear.told if isinstance(told, Listed)] == [False, True, False]


def definition() -> Json:
    names = {"kind": "MetricTemplate", "plural": "metrictemplates"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": METRIC_TEMPLATE.version, "served": True, "storage": True, "schema": schema}
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.name,
        "metadata": {"name": f"metrictemplates.{METRIC_TEMPLATE.group}"},
        "spec": {"group": METRIC_TEMPLATE.group, "names": names, "scope": "Namespaced", "versions": [version]},
    }


async def test_a_closed_watch_is_forgotten() -> None:
    world = World()
    watcher = MemoryWatcher(world.cluster)
    async with listening(watcher, SCOPE) as ear:
        await ear.hears(Listed)
        assert watcher.open == 1
    assert watcher.open == 0


@pytest.mark.parametrize("seed", range(5))
async def test_the_same_seed_tells_the_same(seed: int) -> None:
    plan = WatchPlan(late=5.0, twice=0.3, breaks=0.2, spell=4.0, seed=seed)
    assert repr((await heard(World(), plan, busy)).told) == repr((await heard(World(), plan, busy)).told)


async def test_another_seed_tells_something_else() -> None:
    one, other = WatchPlan(twice=0.5, seed=1), WatchPlan(twice=0.5, seed=2)
    assert (await heard(World(), one, busy)).told != (await heard(World(), other, busy)).told


async def test_an_awful_plan_does_all_of_it() -> None:
    told = shapes(await heard(World(), AWFUL, busy))
    sight = [kind for kind in told if kind in (Blind, Seeing, Listed)]
    assert (Blind, Blind) not in pairwise(sight)
    assert (Seeing, Seeing) not in pairwise(sight)
    assert {Blind, Seeing, Listed, Put, Gone} == set(told)


@given(
    late=st.floats(0, 30),
    twice=st.floats(0, 1),
    breaks=st.floats(0, 0.5),
    forgets=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
async def test_whatever_goes_wrong_the_truth_is_known_in_the_end(
    late: float, twice: float, breaks: float, forgets: float, seed: int
) -> None:
    world = World()
    watcher = MemoryWatcher(world.cluster, world.clock, WatchPlan(late, twice, breaks, 20.0, forgets, seed))
    async with listening(watcher, SCOPE) as ear:
        await ear.until(lambda: bool(ear.told))
        await busy(world)
        watcher.plan = PERFECT
        watcher.see()
        await world.clock.sleep(60)
        truth = {obj["metadata"]["name"]: obj for obj in world.objects.of(CONFIGMAP, "shop")}
        assert ear.objects == truth
        assert truth
