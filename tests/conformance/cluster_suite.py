"""What every adapter of the port `Cluster` must do. Only behaviour that a real kube-apiserver shows is asserted.

A test file subclasses `ClusterSuite` and provides the fixture `cluster`, and `namespace`, which exists and is empty.
Controllers need not run: nothing here waits for one.
"""

from __future__ import annotations

import pytest

from rollout.errors import AlreadyExists, Conflict, NotFound, Rejected, Unsupported
from rollout.plan.base import API_VERSION, Json
from rollout.plan.kinds import CONFIGMAP, DEPLOYMENT, METRIC_TEMPLATE, PLAN_RUN, Kind, Ref, ref_of
from rollout.plan.program import Backends, Program, Side
from rollout.plan.run import RunSpec, dump_spec
from rollout.ports.cluster import Cluster, Guard, guard_of

NOT_SERVED = Kind("nobody.example.com", "v1", "Nothing", "nothings")


def configmap(namespace: str, name: str = "settings", **labels: str) -> Json:
    metadata: Json = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"colour": "blue"}}


def deployment(namespace: str, name: str = "web") -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "shop/web:1.0"}]},
            },
        },
    }


def template(namespace: str, name: str = "errors") -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "MetricTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"query": "sum(errors)"},
    }


def plan_run(namespace: str, name: str = "web-1") -> Json:
    backends = Backends(namespace, "web", name, Side("web"), Side("web-canary"))
    spec = RunSpec("web", "uid-of-the-plan", 1, 1, Program("canary", "web", backends, ()))
    return {
        "apiVersion": API_VERSION,
        "kind": "PlanRun",
        "metadata": {"name": name, "namespace": namespace},
        "spec": dump_spec(spec),
    }


def replace(path: str, value: object) -> Json:
    return {"op": "replace", "path": path, "value": value}


def version_of(obj: Json) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version


async def must_get(cluster: Cluster, ref: Ref) -> Json:
    obj = await cluster.get(ref)
    assert obj is not None
    return obj


class ClusterSuite:
    """The suite."""

    # -- create and get

    async def test_a_created_object_can_be_read_and_has_an_identity(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        assert await must_get(cluster, ref_of(made)) == made
        assert made["metadata"]["uid"]
        assert version_of(made)
        assert made["metadata"]["creationTimestamp"].endswith("Z")
        assert made["data"] == {"colour": "blue"}

    async def test_an_absent_object_reads_as_none(self, cluster: Cluster, namespace: str) -> None:
        assert await cluster.get(Ref(CONFIGMAP, namespace, "absent")) is None

    async def test_a_second_create_of_the_name_is_refused(self, cluster: Cluster, namespace: str) -> None:
        first = await cluster.create(configmap(namespace))
        with pytest.raises(AlreadyExists):
            await cluster.create(configmap(namespace))
        assert await must_get(cluster, ref_of(first)) == first

    async def test_a_recreated_object_is_another_object(self, cluster: Cluster, namespace: str) -> None:
        first = await cluster.create(configmap(namespace))
        await cluster.delete(ref_of(first), guard_of(first))
        second = await cluster.create(configmap(namespace))
        assert second["metadata"]["uid"] != first["metadata"]["uid"]

    async def test_what_a_caller_does_to_a_read_object_stays_with_the_caller(
        self, cluster: Cluster, namespace: str
    ) -> None:
        made = await cluster.create(configmap(namespace))
        (await must_get(cluster, ref_of(made)))["data"]["colour"] = "red"
        made["data"]["colour"] = "green"
        assert (await must_get(cluster, ref_of(made)))["data"] == {"colour": "blue"}

    async def test_generate_name_gives_a_name(self, cluster: Cluster, namespace: str) -> None:
        obj = configmap(namespace)
        obj["metadata"] = {"generateName": "settings-", "namespace": namespace}
        first, second = await cluster.create(obj), await cluster.create(obj)
        assert first["metadata"]["name"].startswith("settings-")
        assert first["metadata"]["name"] != second["metadata"]["name"]

    async def test_a_create_drops_what_only_the_server_writes(self, cluster: Cluster, namespace: str) -> None:
        obj = plan_run(namespace)
        obj["status"] = {"phase": "Succeeded"}
        obj["metadata"]["generation"] = 7
        made = await cluster.create(obj)
        assert not made.get("status")
        assert made["metadata"]["generation"] == 1

    # -- list

    async def test_a_list_knows_namespace_and_labels(self, cluster: Cluster, namespace: str) -> None:
        await cluster.create(configmap(namespace, "a", tier="web", zone="1"))
        await cluster.create(configmap(namespace, "b", tier="web"))
        await cluster.create(configmap(namespace, "c", tier="db"))

        async def names(labels: dict[str, str] | None) -> list[str]:
            found = await cluster.list(CONFIGMAP, namespace, labels)
            return [o["metadata"]["name"] for o in found if o["metadata"]["name"] != "kube-root-ca.crt"]

        assert await names(None) == ["a", "b", "c"]
        assert await names({"tier": "web"}) == ["a", "b"]
        assert await names({"tier": "web", "zone": "1"}) == ["a"]
        assert await names({"tier": "cache"}) == []

    async def test_listed_objects_name_their_kind_as_read_ones_do(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace, tier="web"))
        assert await cluster.list(CONFIGMAP, namespace, {"tier": "web"}) == [made]

    async def test_a_list_without_namespace_sees_all_of_them(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        assert made["metadata"]["uid"] in [o["metadata"]["uid"] for o in await cluster.list(CONFIGMAP)]

    # -- kinds that are not served

    async def test_a_kind_that_is_not_served(self, cluster: Cluster, namespace: str) -> None:
        assert await cluster.serves(CONFIGMAP)
        assert await cluster.serves(PLAN_RUN)
        assert not await cluster.serves(NOT_SERVED)
        assert await cluster.get(Ref(NOT_SERVED, namespace, "x")) is None
        with pytest.raises(Unsupported):
            await cluster.list(NOT_SERVED, namespace)

    # -- patch

    async def test_a_patch_changes_what_it_names_and_nothing_else(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace, tier="web"))
        changed = await cluster.patch(ref_of(made), [replace("/data/colour", "red")], guard_of(made))
        assert changed["data"] == {"colour": "red"}
        assert changed["metadata"]["labels"] == {"tier": "web"}
        assert version_of(changed) != version_of(made)
        assert await must_get(cluster, ref_of(made)) == changed

    async def test_a_patch_based_on_an_old_read_is_refused(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        newer = await cluster.patch(ref_of(made), [replace("/data/colour", "red")], guard_of(made))
        with pytest.raises(Conflict):
            await cluster.patch(ref_of(made), [replace("/data/colour", "green")], guard_of(made))
        assert await must_get(cluster, ref_of(made)) == newer

    async def test_a_patch_of_a_recreated_object_is_refused(self, cluster: Cluster, namespace: str) -> None:
        first = await cluster.create(configmap(namespace))
        await cluster.delete(ref_of(first), guard_of(first))
        second = await cluster.create(configmap(namespace))
        for guard in (guard_of(first), Guard(first["metadata"]["uid"])):
            with pytest.raises(Conflict):
                await cluster.patch(ref_of(first), [replace("/data/colour", "red")], guard)
        assert await must_get(cluster, ref_of(first)) == second

    async def test_a_guard_without_version_binds_the_object_only(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        await cluster.patch(ref_of(made), [replace("/data/colour", "red")], guard_of(made))
        uid_only = Guard(made["metadata"]["uid"])
        changed = await cluster.patch(ref_of(made), [replace("/data/colour", "green")], uid_only)
        assert changed["data"] == {"colour": "green"}

    async def test_a_failed_test_in_a_patch_is_a_conflict(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        test = {"op": "test", "path": "/data/colour", "value": "yellow"}
        with pytest.raises(Conflict):
            await cluster.patch(ref_of(made), [test, replace("/data/colour", "red")], guard_of(made))
        assert await must_get(cluster, ref_of(made)) == made

    async def test_a_patch_of_what_is_not_there_is_rejected(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        for op in ({"op": "remove", "path": "/data/shape"}, {"op": "add", "path": "/none/of/this", "value": 1}):
            with pytest.raises(Rejected):
                await cluster.patch(ref_of(made), [op], guard_of(made))
        assert await must_get(cluster, ref_of(made)) == made

    async def test_a_patch_of_an_absent_object_finds_nothing(self, cluster: Cluster, namespace: str) -> None:
        with pytest.raises(NotFound):
            await cluster.patch(Ref(CONFIGMAP, namespace, "absent"), [replace("/data", {})], Guard("some-uid"))

    async def test_a_patch_that_changes_nothing_keeps_the_version(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        same = await cluster.patch(ref_of(made), [replace("/data/colour", "blue")], guard_of(made))
        assert version_of(same) == version_of(made)

    async def test_a_name_cannot_be_patched(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        with pytest.raises(Rejected):
            await cluster.patch(ref_of(made), [replace("/metadata/name", "other")], guard_of(made))

    # -- generation

    async def test_a_changed_spec_is_a_new_generation(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(deployment(namespace))
        assert made["metadata"]["generation"] == 1
        changed = await cluster.patch(
            ref_of(made), [replace("/spec/minReadySeconds", 5) | {"op": "add"}], Guard(made["metadata"]["uid"])
        )
        assert changed["metadata"]["generation"] == 2

    async def test_a_changed_label_is_the_same_generation(self, cluster: Cluster, namespace: str) -> None:
        for obj in (deployment(namespace), template(namespace)):
            made = await cluster.create(obj)
            op = {"op": "add", "path": "/metadata/labels", "value": {"tier": "web"}}
            changed = await cluster.patch(ref_of(made), [op], Guard(made["metadata"]["uid"]))
            assert changed["metadata"]["labels"] == {"tier": "web"}
            assert changed["metadata"]["generation"] == 1

    async def test_a_deployments_annotations_are_a_new_generation(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(deployment(namespace))
        op = {"op": "add", "path": "/metadata/annotations", "value": {"note": "x"}}
        changed = await cluster.patch(ref_of(made), [op], Guard(made["metadata"]["uid"]))
        assert changed["metadata"]["generation"] == 2

    async def test_a_deployment_comes_back_with_its_defaults(self, cluster: Cluster, namespace: str) -> None:
        obj = deployment(namespace)
        obj["spec"]["paused"] = False
        made = await cluster.create(obj)
        assert made["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        }
        assert made["spec"]["progressDeadlineSeconds"] == 600
        assert "paused" not in made["spec"]

    async def test_an_invalid_deployment_is_rejected(self, cluster: Cluster, namespace: str) -> None:
        obj = deployment(namespace)
        obj["spec"]["selector"] = {"matchLabels": {"app": "something-else"}}
        with pytest.raises(Rejected):
            await cluster.create(obj)
        assert await cluster.get(Ref(DEPLOYMENT, namespace, "web")) is None

    # -- status

    async def test_status_and_the_rest_are_written_apart(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(plan_run(namespace))
        status = {"phase": "Progressing", "state": {"step": 2}}
        stored = await cluster.put_status(ref_of(made), status, guard_of(made))
        assert stored["status"] == status
        assert stored["spec"] == made["spec"]
        assert stored["metadata"]["generation"] == made["metadata"]["generation"]
        ops = [
            replace("/status/phase", "Succeeded"),
            {"op": "add", "path": "/metadata/labels", "value": {"tier": "web"}},
        ]
        patched = await cluster.patch(ref_of(made), ops, guard_of(stored))
        assert patched["status"] == status
        assert patched["metadata"]["labels"] == {"tier": "web"}

    async def test_a_status_replaces_the_one_before(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(plan_run(namespace))
        first = await cluster.put_status(ref_of(made), {"phase": "Pending", "state": {"step": 1}}, guard_of(made))
        second = await cluster.put_status(ref_of(made), {"phase": "Progressing"}, guard_of(first))
        assert second["status"] == {"phase": "Progressing"}
        with pytest.raises(Conflict):
            await cluster.put_status(ref_of(made), {"phase": "Held"}, guard_of(first))
        assert (await must_get(cluster, ref_of(made)))["status"] == {"phase": "Progressing"}

    async def test_the_same_status_keeps_the_version(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(plan_run(namespace))
        first = await cluster.put_status(ref_of(made), {"phase": "Pending"}, guard_of(made))
        again = await cluster.put_status(ref_of(made), {"phase": "Pending"}, guard_of(first))
        assert version_of(again) == version_of(first)

    async def test_a_status_for_an_absent_object_finds_nothing(self, cluster: Cluster, namespace: str) -> None:
        with pytest.raises(NotFound):
            await cluster.put_status(Ref(PLAN_RUN, namespace, "absent"), {}, Guard("some-uid", "1"))

    # -- our own kinds

    async def test_a_runs_spec_is_immutable(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(plan_run(namespace))
        with pytest.raises(Rejected):
            await cluster.patch(ref_of(made), [replace("/spec/attempt", 2)], guard_of(made))

    async def test_an_unknown_field_is_rejected(self, cluster: Cluster, namespace: str) -> None:
        obj = template(namespace)
        obj["spec"]["qurey"] = "typo"
        with pytest.raises(Rejected):
            await cluster.create(obj)
        assert await cluster.get(Ref(METRIC_TEMPLATE, namespace, "errors")) is None

    async def test_a_missing_field_is_rejected(self, cluster: Cluster, namespace: str) -> None:
        obj = template(namespace)
        obj["spec"] = {"unit": "ms"}
        with pytest.raises(Rejected):
            await cluster.create(obj)

    # -- dry run

    async def test_a_dry_run_creates_nothing(self, cluster: Cluster, namespace: str) -> None:
        shown = await cluster.create(deployment(namespace), dry_run=True)
        assert shown["spec"]["revisionHistoryLimit"] == 10
        assert await cluster.get(Ref(DEPLOYMENT, namespace, "web")) is None

    async def test_a_dry_run_patches_nothing(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        shown = await cluster.patch(ref_of(made), [replace("/data/colour", "red")], guard_of(made), dry_run=True)
        assert shown["data"] == {"colour": "red"}
        assert await must_get(cluster, ref_of(made)) == made

    async def test_a_dry_run_refuses_what_the_server_would_refuse(self, cluster: Cluster, namespace: str) -> None:
        obj = template(namespace)
        obj["spec"]["qurey"] = "typo"
        with pytest.raises(Rejected):
            await cluster.create(obj, dry_run=True)

    # -- delete

    async def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(
        self, cluster: Cluster, namespace: str
    ) -> None:
        made = await cluster.create(configmap(namespace))
        await cluster.delete(ref_of(made), guard_of(made))
        assert await cluster.get(ref_of(made)) is None
        await cluster.delete(ref_of(made), guard_of(made))

    async def test_a_delete_spares_a_recreated_object(self, cluster: Cluster, namespace: str) -> None:
        first = await cluster.create(configmap(namespace))
        await cluster.delete(ref_of(first), guard_of(first))
        second = await cluster.create(configmap(namespace))
        with pytest.raises(Conflict):
            await cluster.delete(ref_of(first), Guard(first["metadata"]["uid"]))
        assert await must_get(cluster, ref_of(first)) == second

    async def test_a_delete_spares_an_object_that_was_changed(self, cluster: Cluster, namespace: str) -> None:
        made = await cluster.create(configmap(namespace))
        newer = await cluster.patch(ref_of(made), [replace("/data/colour", "red")], guard_of(made))
        with pytest.raises(Conflict):
            await cluster.delete(ref_of(made), guard_of(made))
        assert await must_get(cluster, ref_of(made)) == newer

    async def test_an_object_stays_until_its_finalizer_is_off(self, cluster: Cluster, namespace: str) -> None:
        obj = configmap(namespace)
        obj["metadata"]["finalizers"] = ["example.com/wait"]
        made = await cluster.create(obj)
        await cluster.delete(ref_of(made), guard_of(made))
        leaving = await must_get(cluster, ref_of(made))
        assert leaving["metadata"]["deletionTimestamp"]
        with pytest.raises(AlreadyExists):
            await cluster.create(configmap(namespace))
        off = [{"op": "remove", "path": "/metadata/finalizers"}]
        await cluster.patch(ref_of(made), off, guard_of(leaving))
        assert await cluster.get(ref_of(made)) is None

    async def test_an_end_that_has_begun_cannot_be_put_off(self, cluster: Cluster, namespace: str) -> None:
        obj = configmap(namespace)
        obj["metadata"]["finalizers"] = ["example.com/wait"]
        made = await cluster.create(obj)
        await cluster.delete(ref_of(made), guard_of(made))
        leaving = await must_get(cluster, ref_of(made))
        more = {"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/longer"}
        with pytest.raises(Rejected):
            await cluster.patch(ref_of(made), [more], guard_of(leaving))
        off = [{"op": "remove", "path": "/metadata/finalizers"}]
        await cluster.patch(ref_of(made), off, guard_of(leaving))

    # -- who may do what, and against what

    async def test_the_caller_can_ask_for_its_rights(self, cluster: Cluster, namespace: str) -> None:
        assert await cluster.allowed("create", CONFIGMAP, namespace)

    async def test_the_version_is_told(self, cluster: Cluster, namespace: str) -> None:
        assert (await cluster.version()).startswith("v1.")
