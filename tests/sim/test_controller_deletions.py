"""Somebody deletes the plan, the namespace, the candidate, the run or the Deployment before any write of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rollout.decide.reason import Reason
from rollout.plan.base import HOLD_LABEL, Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, EVENT, LEASE, PLAN_RUN, REPLICASET
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.namespace import delete_namespace
from tests.kit.sim import BAD, GOOD, plan

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
OLD = "shop/web:1.0"


async def at_each_write(
    act: Callable[[Controlled], object],
    image: str = GOOD,
    *,
    own_routes: bool = False,
    prepare: Callable[[Controlled], Awaitable[object]] | None = None,
) -> AsyncIterator[tuple[Controlled, int]]:
    """Stories in which somebody acts before the first write of the run, the second, and so on to the last.

    `prepare` does what comes before the new image.
    """
    number = 0
    while True:
        number += 1
        async with shop(plan=SHORT, image=image, own_routes=own_routes) as world:
            if prepare is not None:
                await prepare(world)
            acted: list[float] = []
            link = world.processes[0].link

            def foreign(world: Controlled = world, acted: list[float] = acted) -> None:
                acted.append(world.sim.memory.clock.now())
                act(world)

            link.before[link.writes + number] = foreign
            world.release(image)
            end = Phase.SUCCEEDED if image == GOOD else Phase.ROLLED_BACK
            await world.until(lambda: bool(acted) or world.ended(end)())  # noqa: B023 - called in this round only
            if not acted:
                return
            yield world, number


def versions(world: Controlled) -> set[str]:
    """The images that have pods."""
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]
        for ref, rs in world.sim.memory.objects
        if ref.kind == REPLICASET and rs["spec"].get("replicas", 0) > 0
    }


def left(world: Controlled) -> list[str]:
    """Runs and whatever of ours there still is."""
    return [str(ref) for ref, _ in world.sim.memory.objects if ref.kind == PLAN_RUN] + [
        line for line in world.sim.at_rest() if "left behind" in line
    ]


def one_version(world: Controlled) -> list[str]:
    """What is wrong with what runs now: one version must, the one that is asked for or the one that was there."""
    found: list[str] = []
    web, runs = world.sim.memory.get(DEPLOYMENT, "web"), versions(world)
    asked = web["spec"]["template"]["spec"]["containers"][0]["image"]
    if runs not in ({OLD}, {asked}):
        found.append(f"running are {runs}")
    if runs != {asked} and not web["spec"].get("paused"):
        found.append(f"{asked} is asked for, {runs} runs, and it is not paused")
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("own_routes", [False, True], ids=["no routes", "own routes"])
async def test_a_plan_deleted_at_any_write_leaves_production_on_one_version_and_nothing_of_ours(
    own_routes: bool,
) -> None:
    def delete(world: Controlled) -> None:
        world.sim.memory.delete(CANARY_PLAN, "web")

    async for world, number in at_each_write(delete, own_routes=own_routes):
        await world.until(lambda: not left(world), limit=300)  # noqa: B023 - called in this round only
        await world.passed(40)
        web = world.sim.memory.get(DEPLOYMENT, "web")
        assert HOLD_LABEL not in (web["metadata"].get("labels") or {}), number
        assert left(world) + one_version(world) + world.wrong() == [], number


@pytest.mark.timeout(300)
async def test_a_plan_deleted_and_made_anew_at_any_write_is_an_ordinary_plan_again() -> None:
    def anew(world: Controlled) -> None:
        world.sim.memory.delete(CANARY_PLAN, "web")
        world.commit()

    async for world, number in at_each_write(anew):
        await world.passed(150)
        assert world.phase() in ("Idle", Phase.SUCCEEDED), f"{number}: {world.story()}"
        assert versions(world) == {GOOD}, number
        assert world.broken + world.sim.at_rest(promoted=True) == [], number


@pytest.mark.timeout(300)
async def test_a_namespace_deleted_at_any_write_can_go() -> None:
    async for world, number in at_each_write(lambda world: delete_namespace(world.sim.memory)):
        await world.passed(120)
        stays = [str(ref) for ref, _ in world.sim.memory.objects if ref.namespace == "shop" and ref.kind != EVENT]
        assert stays == [], number


@pytest.mark.timeout(300)
@pytest.mark.parametrize("image", [GOOD, BAD], ids=["good", "bad"])
async def test_a_candidate_deleted_at_any_write_is_a_failure_or_is_made_again(image: str) -> None:
    async for world, number in at_each_write(lambda world: world.sim.memory.delete(DEPLOYMENT, "web-canary"), image):
        await world.until(lambda: world.run_phase() in ENDS, limit=300)  # noqa: B023 - called in this round only
        await world.passed(40)
        assert one_version(world) + quiet(world) == [], number


@pytest.mark.timeout(300)
async def test_a_deployment_deleted_at_any_write_leaves_nothing_of_ours() -> None:
    """But for a candidate that alone serves after the commit point: it does so until the plan goes, too."""
    async for world, number in at_each_write(lambda world: world.sim.memory.delete(DEPLOYMENT, "web")):
        await world.passed(90)
        if world.phase() == Phase.HELD:
            assert (world.plan()["status"]["reason"], world.plan()["status"]["weight"]) == (Reason.ROLL_STUCK, 100)
            world.sim.memory.delete(CANARY_PLAN, "web")
            await world.passed(60)
        else:
            assert world.plan()["status"]["reason"] == Reason.TARGET_GONE, f"{number} {world.story()}"
        assert [line for line in quiet(world) if "left behind" in line] == [], number
        assert [str(ref) for ref, _ in world.sim.memory.objects if ref.kind in (DEPLOYMENT, REPLICASET)] == [], number


@pytest.mark.timeout(300)
async def test_a_run_deleted_by_hand_at_any_write_goes_when_it_is_over() -> None:
    def delete(world: Controlled) -> None:
        for run in world.runs():
            world.sim.memory.delete(PLAN_RUN, run["metadata"]["name"])

    async for world, number in at_each_write(delete):
        await world.passed(120)
        assert one_version(world) + quiet(world) == [], number


ENDS = ("Succeeded", "RolledBack", "Aborted", "Superseded")


def quiet(world: Controlled) -> list[str]:
    """What is wrong, but for requests that were lost because somebody deleted what served them."""
    lost = ("requests were dropped", "was touched before", "running are")
    return [line for line in world.wrong() if not any(text in line for text in lost)]


async def test_a_plan_deleted_at_rest_ends_its_hold_and_what_is_held_stays_paused() -> None:
    async with shop(image=BAD, plan=SHORT) as world:
        world.release(BAD)
        await world.until(world.ended(Phase.ROLLED_BACK))
        world.sim.memory.delete(CANARY_PLAN, "web")
        await world.passed(5)
        await hold_ended(world)


async def test_a_plan_deleted_while_no_controller_runs_is_found_at_the_start() -> None:
    async with shop(image=BAD, plan=SHORT) as world:
        world.release(BAD)
        await world.until(world.ended(Phase.ROLLED_BACK))
        await world.processes[0].kill()
        world.sim.memory.delete(CANARY_PLAN, "web")
        world.sim.memory.run(5)
        world.spawn()
        await world.passed(30)
        await hold_ended(world)


async def hold_ended(world: Controlled) -> None:
    web: Json = world.sim.memory.get(DEPLOYMENT, "web")
    assert web["spec"]["paused"] is True
    assert HOLD_LABEL not in (web["metadata"].get("labels") or {})
    told = [obj for ref, obj in world.sim.memory.objects if ref.kind == EVENT and obj["reason"] == Reason.HOLD_ENDED]
    assert len(told) == 1
    assert "kubectl rollout resume deployment/web -n shop" in told[0]["note"]
    await world.passed(60)
    assert versions(world) == {OLD}
    assert [str(ref) for ref, _ in world.sim.memory.objects if ref.kind == LEASE and ref.namespace == "shop"] == []
