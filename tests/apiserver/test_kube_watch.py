"""Watches on a real API server, over TLS, through a network that misbehaves."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from rollout.adapters.kube import access
from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.kube.faults import Intent
from rollout.adapters.kube.transport import Stream, Transport
from rollout.adapters.kube.watch import KubeWatcher, Pace
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, CRD, METRIC_TEMPLATE, Kind, Ref, ref_of
from rollout.ports.cluster import Guard
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing
from tests.conformance.cluster_suite import configmap, template
from tests.kit.apiserver import ApiServer
from tests.kit.ear import Ear, listening
from tests.kit.proxy import Proxy

pytestmark = pytest.mark.apiserver

QUICK = Pace(silence=2.0, first=0.1, most=0.5, slow=0.3)
"""Bookmarks come once a minute, so a watch of this pace is blind whenever nothing happens for two seconds."""


@pytest.fixture
async def proxy(apiserver: ApiServer) -> AsyncIterator[Proxy]:
    url = urlsplit(server_of(apiserver.kubeconfig))
    async with Proxy(url.hostname or "", url.port or 443) as proxy:
        yield proxy


@pytest.fixture
async def transport(apiserver: ApiServer, proxy: Proxy, tmp_path: Path) -> AsyncIterator[Transport]:
    """The way to the API server that leads through the proxy; `kube_cluster` goes around it."""
    config = yaml.safe_load(apiserver.kubeconfig.read_text())
    url = urlsplit(server_of(apiserver.kubeconfig))
    config["clusters"][0]["cluster"]["server"] = f"{url.scheme}://{url.hostname}:{proxy.port}"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    found, client = await access.find(str(tmp_path / "config"), None)
    transport = Transport(client, found.load)
    yield transport
    await transport.close()


@pytest.fixture
def watcher(transport: Transport) -> KubeWatcher:
    return KubeWatcher(transport, QUICK)


def server_of(kubeconfig: Path) -> str:
    server: str = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    return server


def told_once_in_order(ear: Ear, names: list[str]) -> bool:
    return [told.obj["metadata"]["name"] for told in ear.told if isinstance(told, Put)] == names


async def test_two_hundred_objects_come_and_go_through_cuts(
    kube_cluster: KubeCluster, kube_namespace: str, watcher: KubeWatcher, proxy: Proxy
) -> None:
    names = [f"t{number:03}" for number in range(200)]
    async with listening(watcher, Scope(METRIC_TEMPLATE, kube_namespace)) as ear:
        await ear.until(lambda: bool(ear.told))
        made = []
        for number, name in enumerate(names):
            made.append(await kube_cluster.create(template(kube_namespace, name)))
            if number % 40 == 20:
                proxy.cut()
        await ear.until(lambda: len(ear.objects) == len(names))
        for number, obj in enumerate(made):
            await kube_cluster.delete(ref_of(obj), Guard(obj["metadata"]["uid"]))
            if number % 40 == 20:
                proxy.cut()
        await ear.until(lambda: not ear.objects)
    assert told_once_in_order(ear, names)
    assert [told.ref.name for told in ear.told if isinstance(told, Gone)] == names
    assert sum(isinstance(told, Listed) for told in ear.told) == 1
    assert any(isinstance(told, Blind) for told in ear.told)


async def test_a_half_open_connection_is_found_and_nothing_is_missed(
    kube_cluster: KubeCluster, kube_namespace: str, watcher: KubeWatcher, proxy: Proxy
) -> None:
    async with listening(watcher, Scope(METRIC_TEMPLATE, kube_namespace)) as ear:
        await ear.until(lambda: bool(ear.told))
        proxy.freeze()
        await kube_cluster.create(template(kube_namespace, "a"))
        await ear.until(lambda: isinstance(ear.told[-1], Blind))
        await kube_cluster.create(template(kube_namespace, "b"))
        assert ear.objects == {}
        proxy.thaw()
        await ear.has("b")
    assert told_once_in_order(ear, ["a", "b"])
    assert sum(isinstance(told, Listed) for told in ear.told) == 1


async def test_an_outage_is_told_once_and_nothing_is_missed(
    kube_cluster: KubeCluster, kube_namespace: str, watcher: KubeWatcher, proxy: Proxy
) -> None:
    async with listening(watcher, Scope(METRIC_TEMPLATE, kube_namespace)) as ear:
        await ear.until(lambda: bool(ear.told))
        await proxy.refuse()
        await ear.until(lambda: isinstance(ear.told[-1], Blind))
        made = await kube_cluster.create(template(kube_namespace, "a"))
        await kube_cluster.delete(ref_of(made), Guard(made["metadata"]["uid"]))
        await kube_cluster.create(template(kube_namespace, "b"))
        await proxy.admit()
        await ear.has("b")
    told = [type(told) for told in ear.told]
    assert told[told.index(Put) - 2 : told.index(Put) + 3] == [Blind, Seeing, Put, Gone, Put]


async def test_a_slow_network_is_no_outage(
    kube_cluster: KubeCluster, kube_namespace: str, transport: Transport, proxy: Proxy
) -> None:
    proxy.delay(0.2)
    async with listening(KubeWatcher(transport), Scope(METRIC_TEMPLATE, kube_namespace)) as ear:
        await ear.hears(Listed)
        await kube_cluster.create(template(kube_namespace, "a"))
        await ear.hears(Listed, Put)


async def test_a_frozen_watch_can_be_closed(
    kube_cluster: KubeCluster, kube_namespace: str, watcher: KubeWatcher, proxy: Proxy
) -> None:
    await kube_cluster.create(template(kube_namespace, "a"))
    async with listening(watcher, Scope(METRIC_TEMPLATE, kube_namespace)) as ear:
        await ear.has("a")
        proxy.freeze()
    assert set(ear.objects) == {"a"}


async def test_a_kind_comes_goes_and_comes_again(
    kube_cluster: KubeCluster, kube_namespace: str, watcher: KubeWatcher
) -> None:
    kind = Kind(f"{uuid.uuid4().hex[:8]}.example.com", "v1", "Gadget", "gadgets")
    async with listening(watcher, Scope(kind, kube_namespace)) as ear:
        await ear.until(lambda: ear.told == [Listed((), served=False)])
        for _ in range(2):
            await kube_cluster.create(definition(kind))
            await ear.until(lambda: last_list(ear).served)
            made = await kube_cluster.get(Ref(CRD, "", f"gadgets.{kind.group}"))
            assert made is not None
            await kube_cluster.delete(ref_of(made), Guard(made["metadata"]["uid"]))
            await ear.until(lambda: not last_list(ear).served)


def last_list(ear: Ear) -> Listed:
    return [told for told in ear.told if isinstance(told, Listed)][-1]


def definition(kind: Kind) -> Json:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.name,
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": {"kind": kind.name, "plural": kind.plural},
            "scope": "Namespaced",
            "versions": [{"name": kind.version, "served": True, "storage": True, "schema": schema}],
        },
    }


async def test_a_big_object_comes_whole(kube_cluster: KubeCluster, kube_namespace: str, watcher: KubeWatcher) -> None:
    obj = configmap(kube_namespace, "big", tier="web")
    obj["data"] = {f"k{number}": "x" * 100_000 for number in range(9)}
    async with listening(watcher, Scope(CONFIGMAP, kube_namespace, "tier")) as ear:
        await ear.until(lambda: bool(ear.told))
        await kube_cluster.create(obj)
        assert (await ear.has("big"))["data"] == obj["data"]


class FarBehind(Transport):
    """Its first watch asks for a version that the API server has forgotten long ago."""

    behind = True

    @asynccontextmanager
    async def stream(
        self, intent: Intent, path: str, *, query: Mapping[str, str] | None = None, silence: float
    ) -> AsyncIterator[Stream]:
        if self.behind and "watch" in (query or {}):
            self.behind = False
            query = {**(query or {}), "resourceVersion": "1"}
        async with super().stream(intent, path, query=query, silence=silence) as stream:
            yield stream


async def test_a_version_that_is_too_old_is_listed_anew(
    kube_cluster: KubeCluster, kube_namespace: str, apiserver: ApiServer
) -> None:
    found, client = await access.find(str(apiserver.kubeconfig), None)
    transport = FarBehind(client, found.load)
    async with listening(KubeWatcher(transport), Scope(METRIC_TEMPLATE, kube_namespace)) as ear:
        await ear.hears(Listed, Listed)
        await kube_cluster.create(template(kube_namespace, "a"))
        await ear.hears(Listed, Listed, Put)
    await transport.close()
