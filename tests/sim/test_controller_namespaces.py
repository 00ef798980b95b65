"""A controller of several namespaces goes on where it may read, says where it may not, and takes up what comes back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from rollout.controller.leader import SERVES
from rollout.controller.process import scopes
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, Process
from tests.kit.sim import GOOD, ROUTERS, Sim, plan

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
BOTH = ("shop", "other")


@pytest.fixture
async def world() -> AsyncIterator[Controlled]:
    made = Controlled(Sim(plan=SHORT))
    made.commit()
    try:
        yield made
    finally:
        await made.close()


def take(world: Controlled, *namespaces: str) -> None:
    """Take all rights to read these namespaces."""
    for namespace in namespaces:
        for scope in scopes(ROUTERS, (namespace,)):
            world.sim.memory.cluster.deny("list", scope.kind, namespace)


def give(world: Controlled, namespace: str) -> None:
    for scope in scopes(ROUTERS, (namespace,)):
        world.sim.memory.cluster.permit("list", scope.kind, namespace)


def served(world: Controlled, process: Process) -> str:
    lease = world.sim.memory.objects.get(process.controller.leader.ref)
    return str(lease["metadata"]["annotations"][SERVES]) if lease else ""


async def released(world: Controlled) -> None:
    world.release(GOOD)
    await world.until(world.ended(Phase.SUCCEEDED))
    assert world.wrong(promoted=True) == []


async def test_one_namespace_that_may_not_be_read_stops_nobody_elsewhere(
    world: Controlled, caplog: pytest.LogCaptureFixture
) -> None:
    take(world, "other")
    with caplog.at_level(logging.ERROR):
        process = world.spawn(namespaces=BOTH)
        await world.until(lambda: world.phase() == "Idle")
    assert [it.namespace for it in caplog.records] == ["other"]  # type: ignore[attr-defined]
    assert (process.controller.ready, set(process.controller.reach.lost)) == (True, {"other"})
    await world.passed(5)
    assert served(world, process) == "shop", "who starts a run elsewhere must not wait for this controller"
    await released(world)


async def test_what_may_be_read_again_is_taken_up(world: Controlled) -> None:
    take(world, "shop")
    process = world.spawn(namespaces=BOTH)
    await world.passed(60)
    assert (world.phase(), process.controller.ready) == ("", True)
    give(world, "shop")
    await world.until(lambda: world.phase() == "Idle", limit=60)
    await world.passed(5)
    assert (served(world, process), dict(process.controller.reach.lost)) == ("shop,other", {})
    await released(world)


async def test_rights_that_are_taken_in_mid_life_are_told(world: Controlled) -> None:
    process = world.spawn(namespaces=BOTH)
    await world.until(lambda: world.phase() == "Idle")
    take(world, "other")
    await world.passed(10)
    assert (set(process.controller.reach.lost), served(world, process)) == ({"other"}, "shop")
    await released(world)


async def test_it_is_not_ready_where_it_may_read_nothing_or_does_not_know_yet(world: Controlled) -> None:
    take(world, *BOTH)
    lost = world.spawn(namespaces=BOTH)
    await world.passed(30)
    assert (lost.controller.ready, lost.controller.leader.leading) == (False, False)
    give(world, "shop")
    await world.until(lambda: lost.controller.ready)
