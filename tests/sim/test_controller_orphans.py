"""What arrives after its run is over is removed; what a run under way needs is not."""

from __future__ import annotations

import pytest

from rollout.plan.base import RUN_LABEL, RUN_UID, Json
from rollout.plan.kinds import DEPLOYMENT, DESTINATION_RULE, VIRTUAL_SERVICE
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import DR, GOOD, VS, plan

SLOW = plan(steps=[{"weight": 50, "hold": "90s"}])


def late(world: Controlled, obj: Json, run: str, uid: str) -> None:
    """A create of this run arrives."""
    world.sim.memory.apply(
        {
            **obj,
            "metadata": {
                "name": "late",
                "namespace": "shop",
                "labels": {RUN_LABEL: run},
                "annotations": {RUN_UID: uid},
            },
        }
    )


def candidate(world: Controlled) -> Json:
    found = world.sim.memory.get(DEPLOYMENT, "web")
    labels = {"app": "web", "late": "1"}
    template = {**found["spec"]["template"], "metadata": {"labels": labels}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


@pytest.mark.parametrize("kind", [DEPLOYMENT, DESTINATION_RULE, VIRTUAL_SERVICE], ids=str)
@pytest.mark.parametrize("known", [True, False], ids=["ended", "never was"])
async def test_what_a_lost_write_makes_late_is_swept(kind: object, known: bool) -> None:
    async with shop() as world:
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        meta = world.runs()[0]["metadata"]
        route = {**VS, "spec": VS["spec"] | {"hosts": ["other"]}}
        obj = {DEPLOYMENT: candidate(world), DESTINATION_RULE: DR, VIRTUAL_SERVICE: route}[kind]  # type: ignore[index]
        late(world, obj, *((meta["name"], meta["uid"]) if known else ("web-12345-1", "gone")))
        await world.passed(90)
        world.sim.broken.clear()  # it says that no journal knows the late object, which is so
        assert world.sim.at_rest() == []


async def test_an_object_of_an_earlier_run_of_the_same_name_is_swept_and_the_run_under_way_keeps_its_own() -> None:
    async with shop(plan=SLOW) as world:
        world.release(GOOD)
        await world.until(lambda: world.run_phase() == Phase.PROGRESSING)
        name = world.runs()[0]["metadata"]["name"]
        late(world, DR, name, "an-earlier-one")
        await world.passed(80)
        left = [ref.name for ref, obj in world.sim.memory.objects if RUN_LABEL in (obj["metadata"].get("labels") or {})]
        assert "late" not in left
        assert {"web-canary", name} <= set(left), "what the run needs stays"
        await world.until(world.ended(Phase.SUCCEEDED))
        world.sim.broken.clear()
        assert world.wrong(promoted=True) == []


async def test_an_object_of_the_users_that_only_has_the_label_is_left_alone() -> None:
    async with shop() as world:
        meta = {"name": "theirs", "namespace": "shop", "labels": {RUN_LABEL: "web-12345-1"}}
        world.sim.memory.apply({**DR, "metadata": meta})
        await world.passed(90)
        assert world.sim.memory.exists(DESTINATION_RULE, "theirs")
