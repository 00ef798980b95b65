"""What the controllers behind the port `Cluster` do: the in-memory ones must do what Kubernetes' own do.

No node is needed: pods stay pending for ever.  The fixtures are `cluster`, `namespace`, and `sleep`, which lets time
pass: virtual or real.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, DEPLOYMENT, POD, REPLICASET, Ref, ref_of
from rollout.ports.cluster import Cluster, Guard, guard_of
from tests.conformance.cluster_suite import configmap, deployment, must_get

Sleep = Callable[[float], Awaitable[None]]
REVISION = "deployment.kubernetes.io/revision"


async def eventually(check: Callable[[], Awaitable[object]], sleep: Sleep) -> None:
    """Until the check yields something true; the last answer is the failure's explanation."""
    for _ in range(100):
        answer = await check()
        if answer:
            return
        await sleep(0.3)
    raise AssertionError(f"it never happened; at last {answer!r}")


async def edit(cluster: Cluster, ref: Ref, *ops: Json) -> Json:
    """A patch whatever the version: controllers write all the time."""
    obj = await must_get(cluster, ref)
    return await cluster.patch(ref, ops, Guard(obj["metadata"]["uid"]))


def set_image(image: str) -> Json:
    return {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}


class ControllersSuite:
    """The suite."""

    async def start(self, cluster: Cluster, namespace: str, sleep: Sleep, replicas: int = 2) -> Ref:
        obj = deployment(namespace)
        obj["spec"]["replicas"] = replicas
        made = await cluster.create(obj)
        await self.observed(cluster, ref_of(made), sleep)
        await eventually(lambda: self.sizes_are(cluster, namespace, {"shop/web:1.0": replicas}), sleep)
        return ref_of(made)

    async def observed(self, cluster: Cluster, ref: Ref, sleep: Sleep) -> None:
        async def seen() -> bool:
            obj = await must_get(cluster, ref)
            return bool(obj.get("status", {}).get("observedGeneration") == obj["metadata"]["generation"])

        await eventually(seen, sleep)

    async def sizes(self, cluster: Cluster, namespace: str) -> dict[str, int]:
        return {
            rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
            for rs in await cluster.list(REPLICASET, namespace)
        }

    async def sizes_are(self, cluster: Cluster, namespace: str, wanted: dict[str, int]) -> bool:
        return await self.sizes(cluster, namespace) == wanted

    async def revision_is(self, cluster: Cluster, ref: Ref, number: int) -> bool:
        obj = await must_get(cluster, ref)
        return bool(obj["metadata"].get("annotations", {}).get(REVISION) == str(number))

    async def progressing(self, cluster: Cluster, ref: Ref) -> str:
        conditions = (await must_get(cluster, ref)).get("status", {}).get("conditions", ())
        return next((c["reason"] for c in conditions if c["type"] == "Progressing"), "")

    # -- Deployments

    async def test_a_deployment_gets_a_replica_set_and_pods_that_carry_its_hash(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        ref = await self.start(cluster, namespace, sleep)

        async def pods() -> bool:
            return len(await cluster.list(POD, namespace)) == 2

        await eventually(pods, sleep)
        (rs,) = await cluster.list(REPLICASET, namespace)
        hash_ = rs["metadata"]["labels"]["pod-template-hash"]
        assert rs["metadata"]["name"] == f"web-{hash_}"
        assert rs["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": hash_}
        assert rs["metadata"]["annotations"][REVISION] == "1"
        (owner,) = rs["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("Deployment", "web", True)
        for pod in await cluster.list(POD, namespace):
            assert pod["metadata"]["labels"] == {"app": "web", "pod-template-hash": hash_}
        assert (await must_get(cluster, ref))["metadata"]["annotations"][REVISION] == "1"

    async def test_a_deployment_created_paused_makes_nothing(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        obj = deployment(namespace)
        obj["spec"] |= {"replicas": 2, "paused": True}
        made = await cluster.create(obj)
        await self.observed(cluster, ref_of(made), sleep)
        await sleep(1.5)
        assert await cluster.list(REPLICASET, namespace) == []
        assert await self.progressing(cluster, ref_of(made)) == "DeploymentPaused"

    async def test_a_paused_deployment_scales_and_does_not_roll(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        ref = await self.start(cluster, namespace, sleep)
        await edit(cluster, ref, {"op": "add", "path": "/spec/paused", "value": True}, set_image("shop/web:2.0"))
        await edit(cluster, ref, {"op": "replace", "path": "/spec/replicas", "value": 4})
        await eventually(lambda: self.sizes_are(cluster, namespace, {"shop/web:1.0": 4}), sleep)
        await self.observed(cluster, ref, sleep)
        await sleep(1.5)
        assert await self.sizes(cluster, namespace) == {"shop/web:1.0": 4}
        assert await self.progressing(cluster, ref) == "DeploymentPaused"

    async def test_a_roll_whose_pods_never_get_ready_stops_at_its_bounds(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        ref = await self.start(cluster, namespace, sleep, replicas=4)
        await edit(cluster, ref, set_image("shop/web:2.0"))
        stuck = {"shop/web:1.0": 3, "shop/web:2.0": 2}
        await eventually(lambda: self.sizes_are(cluster, namespace, stuck), sleep)
        await sleep(1.5)
        assert await self.sizes(cluster, namespace) == stuck

    async def test_scaling_in_mid_roll_is_shared_by_size(self, cluster: Cluster, namespace: str, sleep: Sleep) -> None:
        ref = await self.start(cluster, namespace, sleep, replicas=4)
        await edit(cluster, ref, set_image("shop/web:2.0"))
        await eventually(lambda: self.sizes_are(cluster, namespace, {"shop/web:1.0": 3, "shop/web:2.0": 2}), sleep)
        for replicas, old, new in ((8, 6, 4), (9, 7, 5), (3, 2, 2), (0, 0, 0)):
            await edit(cluster, ref, {"op": "replace", "path": "/spec/replicas", "value": replicas})
            wanted = {"shop/web:1.0": old, "shop/web:2.0": new}
            await eventually(partial(self.sizes_are, cluster, namespace, wanted), sleep)

    async def test_going_back_takes_the_old_replica_set_with_a_new_number(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        ref = await self.start(cluster, namespace, sleep)
        for number, image in ((2, "shop/web:2.0"), (3, "shop/web:1.0")):
            await edit(cluster, ref, set_image(image))
            await eventually(partial(self.revision_is, cluster, ref, number), sleep)
        assert set(await self.sizes(cluster, namespace)) == {"shop/web:1.0", "shop/web:2.0"}

    async def test_an_orphan_is_adopted_by_the_next_deployment_whose_selector_matches(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        ref = await self.start(cluster, namespace, sleep)
        (before,) = await cluster.list(REPLICASET, namespace)
        other = deployment(namespace, "other")
        other["spec"]["selector"] = {"matchLabels": {"app": "web"}}
        other["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
        other["spec"]["replicas"] = 1
        # paused, the first one makes itself no new ReplicaSet; under another label it does not take its old one back,
        # and without an owner the garbage collector leaves it alone: then nothing here is a race
        await edit(cluster, ref, {"op": "add", "path": "/spec/paused", "value": True})
        label = {"op": "replace", "path": "/metadata/labels/app"}
        alone = {"op": "remove", "path": "/metadata/ownerReferences"}
        await edit(cluster, ref_of(before), alone, label | {"value": "no"})
        await cluster.delete(ref, Guard((await must_get(cluster, ref))["metadata"]["uid"]))
        await edit(cluster, ref_of(before), label | {"value": "web"})
        made = await cluster.create(other)

        async def adopted() -> bool:
            rs = await must_get(cluster, ref_of(before))
            return [o["uid"] for o in rs["metadata"].get("ownerReferences", ())] == [made["metadata"]["uid"]]

        await eventually(adopted, sleep)

    # -- the garbage collector

    async def test_deleting_in_the_foreground_ends_with_the_last_dependent(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        ref = await self.start(cluster, namespace, sleep)
        obj = await must_get(cluster, ref)
        await cluster.delete(ref, Guard(obj["metadata"]["uid"]), foreground=True)

        async def gone() -> bool:
            left = [await cluster.list(kind, namespace) for kind in (DEPLOYMENT, REPLICASET, POD)]
            assert not left[1] or left[0], "the Deployment went before its ReplicaSet"
            return not any(left)

        await eventually(gone, sleep)

    async def test_a_dependent_that_waits_holds_up_its_owner(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        owner, dependent = await self.family(cluster, namespace, finalizers=["example.com/wait"])
        await cluster.delete(owner, guard_of(await must_get(cluster, owner)), foreground=True)

        async def leaving() -> bool:
            return "deletionTimestamp" in (await must_get(cluster, dependent))["metadata"]

        await eventually(leaving, sleep)
        await sleep(1.5)
        assert (await must_get(cluster, owner))["metadata"]["finalizers"] == ["foregroundDeletion"]
        await edit(cluster, dependent, {"op": "remove", "path": "/metadata/finalizers"})

        async def gone() -> bool:
            return await cluster.get(owner) is None and await cluster.get(dependent) is None

        await eventually(gone, sleep)

    async def test_deleting_in_the_background_takes_the_owner_at_once(
        self, cluster: Cluster, namespace: str, sleep: Sleep
    ) -> None:
        owner, dependent = await self.family(cluster, namespace)
        await cluster.delete(owner, guard_of(await must_get(cluster, owner)))
        assert await cluster.get(owner) is None

        async def gone() -> bool:
            return await cluster.get(dependent) is None

        await eventually(gone, sleep)

    async def family(self, cluster: Cluster, namespace: str, finalizers: list[str] | None = None) -> tuple[Ref, Ref]:
        owner = await cluster.create(configmap(namespace, "owner"))
        obj = configmap(namespace, "dependent")
        obj["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": "owner",
                "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": True,
            }
        ]
        if finalizers:
            obj["metadata"]["finalizers"] = finalizers
        await cluster.create(obj)
        return Ref(CONFIGMAP, namespace, "owner"), Ref(CONFIGMAP, namespace, "dependent")
