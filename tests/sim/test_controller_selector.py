"""Controllers that look after some plans only: what was begun is brought to its end; the rest follows the labels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rollout.decide.reason import Reason
from rollout.plan.base import HOLD_LABEL, Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, Process
from tests.kit.sim import GOOD, Sim, plan

LONG = plan(steps=[{"weight": 50, "hold": "40s"}])
SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])


def labelled(spec: Json, **labels: str) -> Json:
    return {**spec, "metadata": {**spec["metadata"], "labels": labels}}


def of_team(world: Controlled, team: str) -> Process:
    """A controller with a selector and a Lease of its own."""
    made = world.spawn(f"of-{team}")
    made.controller.plans.selection.wanted = {"team": team}
    made.controller.leader.namespace = f"home-{team}"
    return made


@asynccontextmanager
async def teams(spec: Json, *names: str) -> AsyncIterator[tuple[Controlled, list[Process]]]:
    world = Controlled(Sim(plan=labelled(spec, team="a")), restart=False)
    world.commit()
    made = [of_team(world, name) for name in names]
    await world.until(lambda: world.phase() == "Idle")
    try:
        yield world, made
    finally:
        await world.close()


def relabel(world: Controlled, **labels: str) -> None:
    stored = world.plan()
    stored["metadata"]["labels"] = labels
    world.sim.memory.replace(stored)


async def halfway(world: Controlled) -> None:
    world.release(GOOD)
    await world.until(lambda: any("50 %" in line for line in world.notes()))


def writes(process: Process) -> list[str]:
    """Its changes of anything but its Lease."""
    return [str(it) for it in process.link.sent if it.changed and "lease" not in str(it).lower()]


@pytest.mark.parametrize("labels", [{}, {"team": "b"}], ids=["taken off", "another's"])
async def test_a_run_that_was_begun_is_brought_to_its_end_when_its_plan_gets_other_labels(
    labels: dict[str, str],
) -> None:
    async with teams(LONG, "a", "b") as (world, (_, other)):
        await halfway(world)
        relabel(world, **labels)
        await world.until(lambda: world.run_phase() == Phase.SUCCEEDED)
        assert [it for it in world.notes() if it.startswith(f"{Reason.NOT_SELECTED}: ")]
        await world.passed(30)
        assert world.wrong(promoted=True) == []
        if labels:
            assert world.phase() == Phase.SUCCEEDED, "who looks after it now says how it stands"
        else:
            assert (world.plan()["status"]["reason"], writes(other)) == (Reason.NOT_SELECTED, [])


async def test_orders_for_such_a_run_are_obeyed() -> None:
    async with teams(LONG, "a", "b") as (world, _):
        await halfway(world)
        relabel(world, team="b")
        await world.passed(5)
        world.order("abort")
        await world.until(lambda: world.run_phase() == Phase.ABORTED)
        await world.passed(30)
        assert (world.phase(), world.wrong(promoted=False)) == (Phase.ABORTED, [])


async def test_a_restarted_controller_knows_the_runs_that_it_began() -> None:
    async with teams(LONG, "a") as (world, (first,)):
        await halfway(world)
        relabel(world, team="b")
        await first.kill()
        of_team(world, "a")
        await world.until(lambda: world.run_phase() == Phase.SUCCEEDED)
        assert world.wrong(promoted=True) == []


async def test_a_plan_at_rest_that_gets_other_labels_is_handed_over_and_holds_meanwhile() -> None:
    async with teams(SHORT, "a") as (world, _):
        relabel(world, team="b")
        await world.until(lambda: world.plan()["status"]["reason"] == Reason.NOT_SELECTED, limit=10)
        assert "team=a" in world.plan()["status"]["message"]
        world.release(GOOD)
        await world.passed(20)
        assert world.sim.memory.get(DEPLOYMENT, "web")["spec"]["paused"] is True
        assert not world.runs()
        of_team(world, "b")
        await world.until(world.ended(Phase.SUCCEEDED))
        await world.passed(20)
        assert (world.phase(), world.wrong(promoted=True)) == (Phase.SUCCEEDED, [])


@pytest.mark.parametrize("begun", [False, True], ids=["at rest", "in mid-run"])
async def test_a_deleted_plan_is_cleared_up_after_by_its_own_controller(begun: bool) -> None:
    async with teams(LONG, "a", "b") as (world, (_, other)):
        if begun:
            await halfway(world)
        world.sim.memory.delete(CANARY_PLAN, "web")
        await world.passed(60)
        assert (writes(other), world.wrong() if begun else []) == ([], [])
        assert HOLD_LABEL not in world.sim.memory.get(DEPLOYMENT, "web")["metadata"]["labels"]


async def test_what_is_left_of_a_plan_that_nobody_remembers_is_cleared_up() -> None:
    async with teams(SHORT, "a") as (world, (first,)):
        await first.kill()
        world.sim.memory.delete(CANARY_PLAN, "web")
        of_team(world, "b")
        await world.passed(30)
        assert HOLD_LABEL not in world.sim.memory.get(DEPLOYMENT, "web")["metadata"]["labels"]
