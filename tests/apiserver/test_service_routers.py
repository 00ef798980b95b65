"""A real API server takes what the routers between Services write, step by step, and gives back what they read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.routers.consul import Consul
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.adapters.routers.smi import Smi
from rollout.errors import Conflict
from rollout.observe.observer import read_routes
from rollout.plan.base import Json
from rollout.plan.kinds import SERVICE, SERVICE_RESOLVER, SERVICE_SPLITTER, TRAFFIC_SPLITS, Kind, Ref, ref_of
from rollout.plan.program import Backends, Side
from rollout.plan.run import Entry
from rollout.ports.cluster import guard_of
from rollout.ports.router import Change, Objects
from rollout.ports.world import World
from tests.conformance import router_suite
from tests.conformance import service_manifests as given
from tests.conformance.router_suite import OWNER, noted
from tests.kit import crds
from tests.kit.apiserver import ApiServer

pytestmark = pytest.mark.apiserver

WEIGHTS = (0, 0.5, 10, 33.33, 100)


@pytest.fixture
def served(apiserver: ApiServer, request: pytest.FixtureRequest) -> Iterator[Kind]:
    """TrafficSplits in one version, as long as the test runs."""
    kind: Kind = request.param
    new, old = crds.traffic_split(crds.WHOLE, matches=True), crds.traffic_split(crds.QUANTITY, matches=False)
    whole = crds.traffic_split(crds.WHOLE, matches=False)
    made = crds.definition(TRAFFIC_SPLITS, (new, new, whole, old), [kind])
    made["spec"]["versions"] = [it | {"storage": it["name"] == kind.version} for it in made["spec"]["versions"]]
    name = f"crd/{kind.plural}.{kind.group}"
    apiserver.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(made))
    apiserver.established(name)
    yield kind
    apiserver.kubectl("delete", name)


class Shop:
    """One namespace, with the router's reads and writes done for real."""

    def __init__(self, cluster: KubeCluster, router: ServiceRouter, backends: Backends) -> None:
        self.cluster, self.router, self.backends = cluster, router, backends
        self.journal: tuple[Entry, ...] = ()

    async def add(self, *objects: Json) -> None:
        """Create the owner's objects."""
        for obj in objects:
            obj["metadata"]["namespace"] = self.backends.namespace
            obj["spec"].pop("clusterIP", None)
            await self.cluster.create(obj)

    async def read(self) -> Objects:
        """What the router asks for."""
        return await read_routes(cast(World, SimpleNamespace(cluster=self.cluster)), self.router, self.backends)

    async def specs(self) -> dict[Ref, Json]:
        """All specs; of Services what we write."""
        found = {ref_of(obj): obj["spec"] for objects in (await self.read()).values() for obj in objects}
        return {ref: _ours(spec) if ref.kind == SERVICE else spec for ref, spec in found.items()}

    async def play(self, changes: Sequence[Change]) -> None:
        """Journal and do each change."""
        for change in changes:
            self.journal = noted(self.journal, change)
            body: Any = change.body
            if change.op == "create":
                await self.cluster.create(body)
                continue
            assert change.guard is not None
            if change.op == "patch":
                await self.cluster.patch(change.ref, body, change.guard)
            else:
                await self.cluster.delete(change.ref, change.guard)

    async def steer(self, weight: float) -> None:
        await self.play(self.router.steer(self.backends, await self.read(), weight, self.journal, OWNER))

    async def home(self) -> None:
        await self.play(self.router.restore(self.backends, await self.read(), self.journal))
        await self.play(self.router.sweep(self.backends, await self.read()))


def _ours(spec: Json) -> Json:
    ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec["ports"]]
    return {
        "selector": spec["selector"],
        "ports": [{"protocol": "TCP", "targetPort": it["port"], **it} for it in ports],
    }


def canary(namespace: str) -> Backends:
    stable, candidate = ({"pod-template-hash": hash_} for hash_ in ("aaa", "bbb"))
    return Backends(namespace, "web", "web-7", Side("web", labels=stable), Side("web-canary", labels=candidate))


def two(namespace: str) -> Backends:
    return Backends(namespace, "web", "web-7", Side("", host="web-v1"), Side("", host="web-v2"))


async def whole_run(shop: Shop) -> None:
    """Every weight is taken as in memory, read back, and needs no second write; then everything is the owner's."""
    before = await shop.specs()
    read = await shop.read()
    twin, nothing = router_suite.World([obj for found in read.values() for obj in found]), dict.fromkeys(read, ())
    journal: tuple[Entry, ...] = ()
    for weight in WEIGHTS:
        await shop.steer(weight)
        changes = shop.router.steer(shop.backends, {**nothing, **twin.read()}, weight, journal, OWNER)
        journal = router_suite.play(twin, changes, journal)
        same = {ref: _ours(spec) if ref.kind == SERVICE else spec for ref, spec in twin.specs().items()}
        assert await shop.specs() == same
        view = shop.router.view(shop.backends, await shop.read())
        assert (view.weight, view.drift) == (weight, "")
        assert shop.router.steer(shop.backends, await shop.read(), weight, shop.journal, OWNER) == ()
    await shop.home()
    assert await shop.specs() == before
    assert shop.router.view(shop.backends, await shop.read()).leftovers == ()


@pytest.mark.parametrize("served", TRAFFIC_SPLITS[2:], indirect=True, ids=lambda kind: kind.version)
async def test_traffic_splits(served: Kind, kube_cluster: KubeCluster, kube_namespace: str) -> None:
    """A split that is made, the owner's, and two Services of his, one after the other."""
    root = given.objects(given.ROOT if served != TRAFFIC_SPLITS[-1] else given.QUANTITIES)[0]
    shop = Shop(kube_cluster, Smi(), canary(kube_namespace))
    await shop.add(*given.objects(given.SERVICE))
    await whole_run(shop)
    await shop.add(root | {"apiVersion": served.api_version})
    await whole_run(shop)
    await shop.steer(0)
    late = shop.router.steer(shop.backends, await shop.read(), 50, shop.journal, OWNER)
    await shop.steer(10)
    with pytest.raises(Conflict):
        await shop.play(late)
    await shop.home()
    ref = Ref(served, kube_namespace, "web")
    live = await kube_cluster.get(ref)
    assert live is not None
    await kube_cluster.delete(ref, guard_of(live))
    own = Shop(kube_cluster, Smi(), two(kube_namespace))
    await own.add(*given.objects(given.VERSIONS), given.objects(given.OWN_TWO)[0] | {"apiVersion": served.api_version})
    await whole_run(own)


async def test_consul(consul_kinds: None, kube_cluster: KubeCluster, kube_namespace: str) -> None:
    """A resolver and a splitter that are made, the owner's, and two subsets of his; what Consul says is waited for."""
    shop = Shop(kube_cluster, Consul(), canary(kube_namespace))
    await shop.add(*given.objects(given.HTTP_ONLY, given.HTTP_DEFAULTS))
    await whole_run(shop)
    await shop.add(*given.objects(given.RESOLVER, given.SPLITTER, given.SERVICE_ROUTER))
    await whole_run(shop)
    await shop.steer(0.5)
    splits = (await shop.specs())[Ref(SERVICE_SPLITTER, kube_namespace, "web")]["splits"]
    theirs = {"service": "web", "responseHeaders": {"set": {"x-from": "web"}}}
    assert splits == [
        {**theirs, "weight": 99.5, "serviceSubset": "web-7-stable"},
        {**theirs, "weight": 0.5, "serviceSubset": "web-7-canary"},
    ]
    for kind in (SERVICE_RESOLVER, SERVICE_SPLITTER):
        assert "has not looked at it yet" in shop.router.view(shop.backends, await shop.read()).pending
        ref = Ref(kind, kube_namespace, "web")
        live = await kube_cluster.get(ref)
        assert live is not None
        await kube_cluster.put_status(ref, {"conditions": [{"type": "Synced", "status": "True"}]}, guard_of(live))
    view = shop.router.view(shop.backends, await shop.read())
    assert (view.pending, view.refused, view.weight) == ("", "", 0.5)
    await shop.home()
    live = await kube_cluster.get(ref)
    assert live is not None
    only = [{"op": "replace", "path": "/spec/splits", "value": [{"weight": 100, "serviceSubset": "v1"}]}]
    await kube_cluster.patch(ref, only, guard_of(live))
    sides = Side("", subset="v1"), Side("", subset="v2")
    own = Shop(kube_cluster, Consul(), Backends(kube_namespace, "web", "web-7", *sides))
    await whole_run(own)
