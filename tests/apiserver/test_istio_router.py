"""A real API server with Istio's real kinds takes what the Istio router writes, and gives back what it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.routers.istio import Istio
from rollout.errors import Conflict
from rollout.plan.base import Json
from rollout.plan.kinds import DESTINATION_RULE, SIDECAR, VIRTUAL_SERVICE, Kind, Ref
from rollout.plan.program import Backends, Side
from rollout.plan.run import Entry
from rollout.ports.cluster import guard_of
from rollout.ports.router import Change, Objects
from tests.conformance import istio_manifests as given
from tests.conformance.router_suite import OWNER, noted
from tests.kit.apiserver import ApiServer
from tests.kit.lab import missing

pytestmark = pytest.mark.apiserver

ISTIO = Istio()
KINDS = (VIRTUAL_SERVICE, DESTINATION_RULE, SIDECAR)


def definitions() -> list[Json]:
    """Istio's own definitions of its kinds, from the Go module that the lab builds Istio from."""
    try:
        from lab.errors import LabError
        from lab.programs import istio_source
    except ImportError as error:
        missing(f"Istio's CRDs are found through the lab, which cannot be imported: {error}")
    try:
        file = istio_source() / "manifests/charts/base/files/crd-all.gen.yaml"
    except LabError as error:
        missing(f"Istio's CRDs are not to be had: {error}")
    if not file.is_file():
        missing(f"Istio's CRDs are not in its module: no {file.name}")
    wanted = {kind.name for kind in KINDS}
    return [crd for crd in yaml.safe_load_all(file.read_text()) if crd and crd["spec"]["names"]["kind"] in wanted]


@pytest.fixture(scope="module")
def istio_kinds(apiserver: ApiServer) -> Iterator[None]:
    """Istio's kinds, as long as these tests run; a cluster that has them keeps its own."""
    present = apiserver.kubectl("get", "crd", "--output=name")
    if all(f"/{kind.plural}.{kind.group}" in present for kind in KINDS):
        yield
        return
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": definitions()})
    names = [f"crd/{kind.plural}.{kind.group}" for kind in KINDS]
    apiserver.kubectl("apply", "--server-side", "--filename=-", stdin=manifest)
    apiserver.established(*names)
    yield
    apiserver.kubectl("delete", *names)


class Shop:
    """One namespace, with the router's reads and writes done for real."""

    def __init__(self, cluster: KubeCluster, namespace: str, backends: Backends) -> None:
        self.cluster, self.namespace, self.backends = cluster, namespace, backends
        self.journal: tuple[Entry, ...] = ()

    async def add(self, *texts: str) -> None:
        """Create the owner's objects."""
        for obj in given.objects(*(text.replace("shop", self.namespace) for text in texts)):
            if obj["kind"] == "Service":
                del obj["spec"]["clusterIP"]
            if obj["metadata"]["namespace"] == self.namespace:
                await self.cluster.create(obj)

    async def read(self) -> Objects:
        """What the router asks for, of this namespace (other tests have objects in theirs)."""
        reads = ISTIO.reads(self.backends)
        return {read.kind: await self.cluster.list(read.kind, self.namespace) for read in reads}

    async def specs(self, kind: Kind) -> dict[str, Json]:
        """All specs of a kind."""
        return {obj["metadata"]["name"]: obj["spec"] for obj in await self.cluster.list(kind, self.namespace)}

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
        await self.play(ISTIO.steer(self.backends, await self.read(), weight, self.journal, OWNER))

    async def home(self) -> None:
        await self.play(ISTIO.restore(self.backends, await self.read(), self.journal))
        await self.play(ISTIO.sweep(self.backends, await self.read()))


def canary(namespace: str) -> Backends:
    stable, candidate = ({"pod-template-hash": hash_} for hash_ in ("aaa", "bbb"))
    return Backends(namespace, "web", "web-7", Side("web", labels=stable), Side("web-canary", labels=candidate))


def subsets(namespace: str) -> Backends:
    return Backends(namespace, "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))


@pytest.mark.parametrize(
    ("backends", "texts"),
    [
        (canary, (given.MIXED_PORTS,)),
        (canary, (given.SERVICE, given.RULE, given.TUTORIAL)),
        (canary, (given.SERVICE, given.RULE, given.RICH)),
        (subsets, (given.SERVICE, given.RULE, given.TUTORIAL)),
    ],
    ids=["made", "tutorial", "rich", "two-subsets"],
)
async def test_a_whole_run_is_accepted_and_leaves_no_trace(
    istio_kinds: None, kube_cluster: KubeCluster, kube_namespace: str, backends: Any, texts: tuple[str, ...]
) -> None:
    shop = Shop(kube_cluster, kube_namespace, backends(kube_namespace))
    await shop.add(*texts)
    before = [await shop.specs(kind) for kind in (VIRTUAL_SERVICE, DESTINATION_RULE)]
    for weight in (0, 10, 33.33, 100):
        await shop.steer(weight)
        view = ISTIO.view(shop.backends, await shop.read())
        assert (view.weight, view.drift) == (weight, "")
        again = ISTIO.steer(shop.backends, await shop.read(), weight, shop.journal, OWNER)
        assert again == ()
    await shop.home()
    assert [await shop.specs(kind) for kind in (VIRTUAL_SERVICE, DESTINATION_RULE)] == before
    assert ISTIO.view(shop.backends, await shop.read()).leftovers == ()


async def test_a_late_write_fails_instead_of_steering(
    istio_kinds: None, kube_cluster: KubeCluster, kube_namespace: str
) -> None:
    shop = Shop(kube_cluster, kube_namespace, canary(kube_namespace))
    await shop.add(given.SERVICE, given.RULE, given.TUTORIAL)
    await shop.steer(0)
    late = ISTIO.steer(shop.backends, await shop.read(), 50, shop.journal, OWNER)
    await shop.steer(10)
    with pytest.raises(Conflict):
        await shop.play(late)
    assert ISTIO.view(shop.backends, await shop.read()).weight == 10


async def test_a_timeout_that_the_owner_adds_in_mid_run_stays(
    istio_kinds: None, kube_cluster: KubeCluster, kube_namespace: str
) -> None:
    shop = Shop(kube_cluster, kube_namespace, canary(kube_namespace))
    await shop.add(given.SERVICE, given.RULE, given.TUTORIAL)
    before = (await shop.specs(VIRTUAL_SERVICE))["web"]
    await shop.steer(10)
    ref = Ref(VIRTUAL_SERVICE, kube_namespace, "web")
    live = await kube_cluster.get(ref)
    assert live is not None
    await kube_cluster.patch(ref, [{"op": "add", "path": "/spec/http/1/timeout", "value": "7s"}], guard_of(live))
    await shop.home()
    before["http"][1]["timeout"] = "7s"
    assert (await shop.specs(VIRTUAL_SERVICE))["web"] == before
