"""What only a real API server can prove of the cluster adapter; the rest is in tests/conformance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.adapters.kube import cluster as kube
from rollout.adapters.kube.cluster import KubeCluster, connect
from rollout.errors import Conflict, Forbidden, NotFound, Rejected
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, DEPLOYMENT, NAMESPACE, PLAN_RUN, POD, SECRET, VIRTUAL_SERVICE, Ref, ref_of
from rollout.ports.cluster import Guard, guard_of
from tests.kit.apiserver import ApiServer

pytestmark = pytest.mark.apiserver


def configmap(namespace: str, name: str = "settings") -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"colour": "blue"}}


def deployment(namespace: str, replicas: object = 0) -> Json:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "x", "env": [{"name": "PASSWORD", "value": "hunter2"}]}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


async def test_a_list_in_many_pages_is_whole(
    kube_cluster: KubeCluster, kube_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "CHUNK", 3)
    wanted = {f"settings-{number}" for number in range(10)}
    for name in wanted:
        await kube_cluster.create(configmap(kube_namespace, name))
    found = [obj["metadata"]["name"] for obj in await kube_cluster.list(CONFIGMAP, kube_namespace)]
    assert len(found) == len(set(found))
    assert wanted <= set(found)


async def test_a_write_is_made_in_our_name(kube_cluster: KubeCluster, kube_namespace: str) -> None:
    made = await kube_cluster.create(configmap(kube_namespace))
    assert {entry["manager"] for entry in made["metadata"]["managedFields"]} == {"rollout"}


async def test_a_broken_type_is_rejected_without_quoting_the_object(
    kube_cluster: KubeCluster, kube_namespace: str
) -> None:
    made = await kube_cluster.create(deployment(kube_namespace))
    op = {"op": "replace", "path": "/spec/replicas", "value": "many"}
    with pytest.raises(Rejected) as caught:
        await kube_cluster.patch(ref_of(made), [op], Guard(made["metadata"]["uid"]))
    assert "hunter2" not in str(caught.value)
    assert "cannot unmarshal string" in str(caught.value)


async def test_words_about_a_secret_are_withheld(kube_cluster: KubeCluster, kube_namespace: str) -> None:
    metadata = {"name": "db", "namespace": kube_namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"bad/key": "hunter2"}}
    with pytest.raises(Rejected, match="withheld"):
        await kube_cluster.create(secret)
    assert await kube_cluster.get(Ref(SECRET, kube_namespace, "db")) is None


async def test_one_key_of_a_secret_can_be_read(kube_cluster: KubeCluster, kube_namespace: str) -> None:
    metadata = {"name": "prom", "namespace": kube_namespace}
    await kube_cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": "hunter2"}}
    )
    assert await kube_cluster.secret(kube_namespace, "prom", "token") == "hunter2"
    for name, key in (("prom", "absent"), ("absent", "token")):
        with pytest.raises(NotFound, match="absent") as caught:
            await kube_cluster.secret(kube_namespace, name, key)
        assert "hunter2" not in str(caught.value)


async def test_a_create_in_a_namespace_that_is_not_there(kube_cluster: KubeCluster) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await kube_cluster.create(configmap("nowhere"))


async def test_a_conflict_says_which_version_was_expected(kube_cluster: KubeCluster, kube_namespace: str) -> None:
    made = await kube_cluster.create(configmap(kube_namespace))
    op = {"op": "replace", "path": "/data/colour", "value": "red"}
    newer = await kube_cluster.patch(ref_of(made), [op], guard_of(made))
    with pytest.raises(Conflict, match=newer["metadata"]["resourceVersion"]):
        await kube_cluster.patch(ref_of(made), [op], guard_of(made))


async def test_discovery_tells_served_kinds_from_others(kube_cluster: KubeCluster) -> None:
    assert await kube_cluster.serves(DEPLOYMENT)
    assert await kube_cluster.serves(POD)
    assert await kube_cluster.serves(PLAN_RUN)
    assert not await kube_cluster.serves(VIRTUAL_SERVICE)


async def test_a_kind_is_found_as_soon_as_it_is_installed(kube_cluster: KubeCluster, apiserver: ApiServer) -> None:
    assert not await kube_cluster.serves(VIRTUAL_SERVICE)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "virtualservices", "kind": "VirtualService", "singular": "virtualservice"}
    spec = {"group": "networking.istio.io", "scope": "Namespaced", "names": names, "versions": [version]}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    made = await kube_cluster.create(crd | {"metadata": {"name": "virtualservices.networking.istio.io"}})
    try:
        apiserver.established("crd/virtualservices.networking.istio.io")
        assert await kube_cluster.serves(VIRTUAL_SERVICE)
    finally:
        await kube_cluster.delete(ref_of(made), Guard(made["metadata"]["uid"]))
        apiserver.kubectl("wait", "--for=delete", "crd/virtualservices.networking.istio.io")


def with_token(apiserver: ApiServer, folder: Path, token: str) -> str:
    """A kubeconfig for the same server and somebody else."""
    other = replace(apiserver, kubeconfig=folder / "other")
    other.kubeconfig.write_bytes(apiserver.kubeconfig.read_bytes())
    other.kubectl("config", "set-credentials", "other", "--token", token)
    other.kubectl("config", "set-context", "--current", "--user", "other")
    return str(other.kubeconfig)


@pytest.fixture
def weak(apiserver: ApiServer, kube_namespace: str, tmp_path: Path) -> str:
    """A kubeconfig that may do nothing."""
    apiserver.kubectl("create", "serviceaccount", "weak", "-n", kube_namespace)
    token = apiserver.kubectl("create", "token", "weak", "-n", kube_namespace).strip()
    return with_token(apiserver, tmp_path, token)


async def test_somebody_without_rights_learns_which_one_is_missing(weak: str, kube_namespace: str) -> None:
    async with connect(weak) as cluster:
        assert not await cluster.allowed("list", DEPLOYMENT, kube_namespace)
        with pytest.raises(Forbidden) as caught:
            await cluster.list(DEPLOYMENT, kube_namespace)
    assert f"kubectl auth can-i list deployments.apps -n {kube_namespace}" in caught.value.hint


async def test_rights_are_asked_for_by_verb_and_kind(kube_cluster: KubeCluster, kube_namespace: str) -> None:
    assert await kube_cluster.allowed("promote", PLAN_RUN, kube_namespace)
    assert await kube_cluster.allowed("create", NAMESPACE, "")


async def test_wrong_credentials_are_refused_at_once(apiserver: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match="refused or have expired") as caught:
        async with connect(with_token(apiserver, tmp_path, "wr0ng")):
            pass
    assert "wr0ng" not in str(caught.value)
