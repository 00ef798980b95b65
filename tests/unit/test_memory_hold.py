"""The in-memory hold policy decides as the shipped one was seen to decide on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.adapters.memory.apiserver import Review
from rollout.adapters.memory.holdpolicy import remove_hold_policy
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.world import World, shop_deployment
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.holdpolicy import NAME, documents
from rollout.plan.kinds import DEPLOYMENT, MUTATING_BINDING, MUTATING_POLICY, POD, Ref
from rollout.ports.cluster import guard_of

WEB = Ref(DEPLOYMENT, "shop", "web")


def manifest(image: str = "shop/web:1.0", **labels: str) -> Json:
    obj = shop_deployment("shop", "web", 3, image)
    obj["metadata"]["labels"] |= {HOLD_LABEL: "web", **labels}
    return obj


@pytest.fixture
def world() -> World:
    world = World()
    world.apply(manifest())
    world.run(5)
    return world


def held(world: World) -> bool:
    obj = world.get(DEPLOYMENT, "web")
    paused = obj["spec"].get("paused", False)
    marked = obj["metadata"].get("annotations", {}).get(HELD) == "true"
    assert not marked or (paused and obj["metadata"]["labels"].get(HOLD_LABEL) == "web")
    return bool(paused and marked)


def images(world: World) -> set[str]:
    return {p["spec"]["containers"][0]["image"] for p in world.objects.of(POD, "shop")}


async def patch(cluster: MemoryCluster, *ops: Json) -> None:
    obj = await cluster.get(WEB)
    assert obj is not None
    await cluster.patch(WEB, ops, guard_of(obj))


def add(path: str, value: Any) -> Json:
    return {"op": "add", "path": path, "value": value}


def annotation(key: str) -> str:
    return f"/metadata/annotations/{key.replace('/', '~1')}"


def test_the_policy_can_be_seen_in_the_cluster(world: World) -> None:
    assert world.exists(MUTATING_POLICY, NAME)
    assert world.exists(MUTATING_BINDING, NAME)
    remove_hold_policy(world.cluster)
    assert not world.exists(MUTATING_POLICY, NAME)


def test_a_created_deployment_starts_even_when_it_was_saved_paused() -> None:
    world = World()
    obj = manifest()
    obj["spec"]["paused"] = True
    world.apply(obj)
    world.run(5)
    assert len(world.ready_pods()) == 3


def test_a_changed_template_is_held_in_the_same_write(world: World) -> None:
    world.set_image("web", "shop/web:2.0")
    assert held(world)
    world.run(30)
    assert images(world) == {"shop/web:1.0"}
    assert len(world.ready_pods()) == 3


def test_an_unlabelled_deployment_rolls() -> None:
    world = World()
    world.apply(shop_deployment("shop", "web", 3, "shop/web:1.0"))
    world.run(5)
    world.set_image("web", "shop/web:2.0")
    world.run(30)
    assert images(world) == {"shop/web:2.0"}


def test_a_gitops_tool_that_applies_again_frees_nothing(world: World) -> None:
    world.apply(manifest("shop/web:2.0"))
    obj = manifest("shop/web:2.0")
    obj["spec"]["paused"] = False
    world.apply(obj)
    assert held(world)


def test_replace_without_our_label_and_annotations_frees_nothing(world: World) -> None:
    world.set_image("web", "shop/web:2.0")
    for _ in range(2):
        world.replace(shop_deployment("shop", "web", 3, "shop/web:2.0"))
        assert held(world)


async def test_resuming_frees_nothing(world: World) -> None:
    world.set_image("web", "shop/web:2.0")
    await patch(world.user, {"op": "remove", "path": "/spec/paused"})
    assert held(world)


async def test_a_dropped_label_or_mark_comes_back(world: World) -> None:
    await patch(world.user, {"op": "remove", "path": f"/metadata/labels/{HOLD_LABEL.replace('/', '~1')}"})
    assert world.get(DEPLOYMENT, "web")["metadata"]["labels"][HOLD_LABEL] == "web"
    world.set_image("web", "shop/web:2.0")
    await patch(world.user, {"op": "remove", "path": annotation(HELD)})
    assert held(world)


async def test_a_release_by_somebody_without_the_verb_frees_nothing(world: World) -> None:
    world.set_image("web", "shop/web:2.0")
    await patch(world.user, add(annotation(RELEASE), "forged"), add("/spec/paused", value=False))
    assert held(world)


async def test_a_release_rolls_and_the_next_change_is_held_again(world: World) -> None:
    world.set_image("web", "shop/web:2.0")
    await patch(
        world.cluster,
        add(annotation(RELEASE), "run-1"),
        {"op": "remove", "path": annotation(HELD)},
        {"op": "remove", "path": "/spec/paused"},
    )
    world.run(30)
    assert images(world) == {"shop/web:2.0"}
    world.set_image("web", "shop/web:3.0")
    assert held(world)


async def test_an_old_release_cannot_be_used_again(world: World) -> None:
    await patch(world.cluster, add("/metadata/annotations", {RELEASE: "run-1"}))
    world.set_image("web", "shop/web:2.0")
    await patch(world.cluster, {"op": "remove", "path": "/spec/paused"})
    assert held(world)


async def test_a_users_own_pause_stays_his_own(world: World) -> None:
    await patch(world.user, add("/spec/paused", value=True))
    assert not held(world)
    await patch(world.user, {"op": "remove", "path": "/spec/paused"})
    assert "paused" not in world.get(DEPLOYMENT, "web")["spec"]


async def test_a_restart_is_let_through(world: World) -> None:
    before = set(world.ready_pods())
    await patch(
        world.user, add("/spec/template/metadata/annotations", {"kubectl.kubernetes.io/restartedAt": "2026-01-01"})
    )
    world.run(30)
    assert not held(world)
    assert not before & set(world.ready_pods())
    assert len(world.ready_pods()) == 3


def test_scaling_works_while_held(world: World) -> None:
    world.set_image("web", "shop/web:2.0")
    world.scale("web", 5)
    world.run(10)
    assert held(world)
    assert len(world.ready_pods()) == 5
    assert images(world) == {"shop/web:1.0"}


def test_a_stable_pod_that_dies_while_held_comes_back_as_stable(world: World) -> None:
    world.set_image("web", "shop/web:2.0")
    world.kill_pod(world.ready_pods()[0])
    world.run(10)
    assert len(world.ready_pods()) == 3
    assert images(world) == {"shop/web:1.0"}


def test_a_webhook_that_edits_the_template_does_not_get_past_the_policy(world: World) -> None:
    def stamp(review: Review) -> Json:
        if review.new["kind"] == "Deployment":
            review.new["spec"]["template"]["metadata"]["labels"]["stamped"] = "yes"
        return review.new

    world.cluster.server.webhooks.append(stamp)
    world.scale("web", 4)
    assert held(world)


def test_without_the_policy_nothing_is_held() -> None:
    world = World(hold_policy=False)
    world.apply(manifest())
    world.run(5)
    world.set_image("web", "shop/web:2.0")
    world.run(30)
    assert images(world) == {"shop/web:2.0"}


async def test_whoever_installs_the_shipped_objects_switches_the_policy_on() -> None:
    world = World(hold_policy=False)
    for obj in documents():
        await world.cluster.create(obj)
    world.apply(manifest())
    world.run(5)
    world.set_image("web", "shop/web:2.0")
    assert held(world)
