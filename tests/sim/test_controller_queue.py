"""Plans that wait for each other: in a chain, in a queue, and in a circle that nobody gets out of by himself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, PLAN_RUN
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import BAD, GOOD, plan

NAMES = ("web", "web2", "web3")


def status(world: Controlled, name: str) -> Json:
    found: Json = world.sim.memory.get(CANARY_PLAN, name).get("status") or {}
    return found


def phases(world: Controlled) -> list[str]:
    return [str(status(world, name).get("phase")) for name in NAMES]


def runs(world: Controlled) -> dict[str, Json]:
    """The runs by their plans, of which each has one."""
    return {run["spec"]["plan"]: run for ref, run in world.sim.memory.objects if ref.kind == PLAN_RUN}


def going(world: Controlled) -> int:
    return sum(not (run.get("status") or {}).get("endedAt") for run in runs(world).values())


async def released(world: Controlled, specs: Mapping[str, Mapping[str, Any]], image: str = GOOD) -> None:
    """Three plans on three Deployments, and a new version of each at one moment."""
    for name in NAMES:
        if name != "web":
            world.sim.memory.deploy_shop(name=name)
        written = plan(**specs.get(name, {}))
        written["spec"]["target"] = {"name": name}
        written["metadata"]["name"] = name
        world.commit(written)
    await world.until(lambda: phases(world) == ["Idle"] * 3 or "Invalid" in phases(world))
    for name in NAMES:
        world.sim.memory.set_image(name, image)


async def test_plans_in_a_chain_go_one_after_the_other_also_when_the_controller_dies() -> None:
    async with shop() as world:
        await released(world, {"web2": {"dependsOn": ["web"]}, "web3": {"dependsOn": ["web2"]}})
        await world.until(lambda: status(world, "web3").get("reason") == Reason.WAITS_FOR_PLAN)
        assert "waits for plan web2: " in status(world, "web3")["message"]
        await world.until(lambda: set(runs(world)) == {"web", "web2"}, 900)
        for process in world.processes:
            await process.kill()
        await world.until(lambda: phases(world) == [Phase.SUCCEEDED] * 3, 900)
        times = [(runs(world)[it]["status"]["startedAt"], runs(world)[it]["status"]["endedAt"]) for it in NAMES]
        assert times == sorted(times)
        assert times[0][1] <= times[1][0]
        assert times[1][1] <= times[2][0]


async def test_what_waits_for_a_version_that_went_back_does_not_begin() -> None:
    async with shop() as world:
        await released(world, {"web2": {"dependsOn": ["web"]}, "web3": {"dependsOn": ["web2"]}}, BAD)
        await world.until(lambda: phases(world)[0] == Phase.ROLLED_BACK)
        await world.passed(60)
        assert phases(world)[1:] == ["Pending", "Pending"]
        assert set(runs(world)) == {"web"}
        assert "has not succeeded" in status(world, "web2")["message"]


async def test_at_most_so_many_runs_are_under_way_and_the_others_see_their_place() -> None:
    async with shop() as world:
        most, places = [0], set[str]()

        def look() -> bool:
            most[0] = max(most[0], going(world))
            for name in NAMES:
                if status(world, name).get("reason") == Reason.QUEUED:
                    places.update(re.findall(r"place \d of \d", status(world, name)["message"]))
            return phases(world) == [Phase.SUCCEEDED] * 3

        await released(world, {name: {"atMost": 1} for name in NAMES})
        await world.until(look, 900)
        assert most == [1]
        assert {"place 1 of 2", "place 2 of 2", "place 1 of 1"} <= places


async def test_plans_that_wait_in_a_circle_say_so_and_go_on_when_it_is_opened() -> None:
    async with shop() as world:
        await released(world, {"web": {"dependsOn": ["web3"]}, "web3": {"dependsOn": ["web"]}})
        await world.until(lambda: phases(world)[0] == phases(world)[2] == "Invalid")
        assert "web waits for web3 waits for web" in status(world, "web")["message"]
        world.commit(plan(dependsOn=[]))
        await world.until(lambda: phases(world) == [Phase.SUCCEEDED] * 3, 900)
