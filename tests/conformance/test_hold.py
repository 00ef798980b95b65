"""The in-memory hold policy and the shipped one, write by write: any story of edits ends in the same object on both."""

from __future__ import annotations

import asyncio
import random

import pytest

from rollout.adapters.memory.world import World, shop_deployment
from rollout.errors import RolloutError
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.holdpolicy import documents
from rollout.plan.kinds import Ref, ref_of
from rollout.ports.cluster import Cluster, Guard, guard_of
from tests.conformance.cluster_suite import must_get

RESTART = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}


def add(value: object, *path: str) -> Json:
    return {"op": "add", "path": "".join(f"/{part.replace('/', '~1')}" for part in path), "value": value}


def some_edit(luck: random.Random, number: int) -> list[Json]:
    """What an owner, a GitOps tool, a forger or the engine may write."""
    note, resume = ("metadata", "annotations"), add(False, "spec", "paused")
    image = f"shop/web:{luck.randint(1, 3)}"
    edits = [
        [add(image, "spec", "template", "spec", "containers", "0", "image")],
        [add(True, "spec", "paused")],
        [resume],
        [add(f"release-{number}", *note, RELEASE), resume],
        [add(f"release-{number}", *note, RELEASE), resume, add("false", *note, HELD)],
        [add("false", *note, HELD)],
        [add("true", *note, HELD)],
        [add("paused", *note, HELD)],
        [add("true", *note, HELD), add(True, "spec", "paused")],
        [add({"mine": str(number)}, *note)],
        [add({"mine": str(number)}, "metadata", "labels")],
        [add({HOLD_LABEL: f"plan-{number % 2}"}, "metadata", "labels")],
        [add(RESTART, "spec", "template", "metadata", "annotations")],
        [add({"note": str(number % 2)}, "spec", "template", "metadata", "annotations")],
        [add(luck.randint(0, 3), "spec", "replicas")],
    ]
    return luck.choice(edits)


async def write(cluster: Cluster, ref: Ref, ops: list[Json]) -> object:
    """What the write makes of the object, or that it is refused."""
    obj = await must_get(cluster, ref)
    try:
        return essence(await cluster.patch(ref, ops, Guard(obj["metadata"]["uid"])))
    except RolloutError as error:
        # adapters may refine Rejected
        return [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == RolloutError.__module__]


def essence(obj: Json) -> object:
    meta, spec = obj["metadata"], obj["spec"]
    notes = {k: v for k, v in meta.get("annotations", {}).items() if not k.startswith("deployment.kubernetes.io")}
    return spec.get("paused", False), meta["generation"], meta.get("labels", {}), notes, spec["template"]["spec"]


async def install(cluster: Cluster) -> None:
    """The shipped policy as it is now; the API server may have an older one from an earlier run."""
    for obj in documents():
        found = await cluster.get(ref_of(obj))
        spec = [{"op": "replace", "path": "/spec", "value": obj["spec"]}]
        made = await cluster.create(obj) if found is None else await cluster.patch(ref_of(obj), spec, guard_of(found))
        if found is None or made["metadata"]["generation"] != found["metadata"]["generation"]:
            await asyncio.sleep(2)  # the API server learns of a policy a moment later


@pytest.mark.apiserver
@pytest.mark.parametrize("seed", range(6))
async def test_any_story_ends_the_same(kube_cluster: Cluster, kube_namespace: str, seed: int) -> None:
    await install(kube_cluster)
    luck, memory = random.Random(seed), World().cluster
    obj = shop_deployment(kube_namespace, "web", 0, "shop/web:1")
    obj["metadata"] |= {"labels": {HOLD_LABEL: "web"}, "annotations": {"mine": "0"}}
    obj["spec"]["paused"] = seed % 2 == 1
    assert essence(await kube_cluster.create(obj)) == essence(await memory.create(obj))
    story = [some_edit(luck, number) for number in range(40)]
    for ops in story:
        assert await write(kube_cluster, ref_of(obj), ops) == await write(memory, ref_of(obj), ops), ops
