"""Every check of an adoption on a real API server: read from it, with its defaults, a workload that trips the check and
one that does not.

The scenes are those of the unit tests, made valid.  Left out are those that need what this server has not: the status
of a quota, pods of a control plane, another namespace.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import yaml

from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.memory.world import World as Simulation
from rollout.checks.adoption import CHECKERS, judge
from rollout.checks.adoption.read import read
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import (
    CRON_JOB,
    DESTINATION_RULE,
    JOB,
    MUTATING_WEBHOOK,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    SERVICE_ACCOUNT,
    SERVICE_ENTRY,
    SIDECAR,
    STATEFUL_SET,
    Ref,
    kind_of,
    ref_of,
)
from rollout.ports.cluster import guard_of
from rollout.ports.world import World
from tests.kit.adoption import Case, Scene, scene, workload
from tests.kit.apiserver import ApiServer
from tests.kit.lab import missing
from tests.unit import test_adoption_checks_pods as pods
from tests.unit import test_adoption_checks_policy as policy
from tests.unit import test_adoption_checks_protocols as protocols
from tests.unit import test_adoption_checks_topology as topology
from tests.unit import test_adoption_checks_traffic as traffic

pytestmark = pytest.mark.apiserver

KINDS = (DESTINATION_RULE, SIDECAR, PEER_AUTHENTICATION, SERVICE_ENTRY)
TABLES: list[tuple[str, Case]] = [
    *(("RO501", case) for case in protocols.DECLARED),
    *(("RO502", case) for case in protocols.SERVER_FIRST),
    *(("RO516", case) for case in protocols.CLASHES),
    *pods.CASES,
    *(("RO507", case) for case in policy.SECURITY),
    *(("RO512", case) for case in policy.REACH),
    *topology.FOUND,
    *(("RO518", case) for case in topology.BOUNDS),
    *(("RO513", case) for case in traffic.SCRAPING),
    *(("RO514", case) for case in traffic.EGRESS),
    *(("RO515", case) for case in traffic.RULES),
    *(("RO521", case) for case in traffic.MESHES),
    *(("RO522", case) for case in traffic.CONNECTIONS),
]
IMPOSSIBLE = ("its limit is too far above its request", "of another namespace, for all hosts of ours")
"""A limit range of claims has no ratio of CPU; the emulated namespaces are one."""
CASES = [
    (code, case)
    for code, case in TABLES
    if not (case.trips.elsewhere or case.passes.elsewhere) and case.name not in IMPOSSIBLE
]


@pytest.fixture(scope="module")
def istio_kinds(apiserver: ApiServer) -> Iterator[None]:
    """Istio's kinds, as long as these tests run; a cluster that has them keeps its own."""
    present = apiserver.kubectl("get", "crd", "--output=name")
    wanted = [kind for kind in KINDS if f"/{kind.plural}.{kind.group}" not in present]
    if not wanted:
        yield
        return
    manifest = {"apiVersion": "v1", "kind": "List", "items": definitions({kind.name for kind in wanted})}
    names = [f"crd/{kind.plural}.{kind.group}" for kind in wanted]
    apiserver.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(manifest))
    apiserver.established(*names)
    yield
    apiserver.kubectl("delete", *names)


def definitions(names: set[str]) -> list[Json]:
    """Istio's own definitions of its kinds."""
    try:
        from lab.errors import LabError
        from lab.programs import istio_source
    except ImportError as error:
        missing(f"Istio's CRDs are found through the lab, which cannot be imported: {error}")
    try:
        file = istio_source() / "manifests/charts/base/files/crd-all.gen.yaml"
    except LabError as error:
        missing(f"Istio's CRDs are not to be had: {error}")
    return [crd for crd in yaml.safe_load_all(file.read_text()) if crd and crd["spec"]["names"]["kind"] in names]


class Spaces:
    """Namespaces with the objects of a scene in them."""

    def __init__(self, cluster: KubeCluster) -> None:
        self.cluster, self.made = cluster, list[str]()
        self.seen_everywhere: list[Json] = []
        """What other namespaces see too: it must be gone before the next scene, and a namespace takes its time."""
        other = Simulation()
        self.world = World(cluster, other.metrics, other.clock, {}, {})

    async def found(self, known: Scene, code: str) -> list[Finding]:
        """What the checks find of a scene that was read from the server."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        meta = {"name": name, "labels": known.labels}
        await self.cluster.create({"apiVersion": NAMESPACE.api_version, "kind": NAMESPACE.name, "metadata": meta})
        self.made.append(name)
        if any(kind_of(obj) == POD for obj in known.objects):
            await self._peopled(name)
        for obj in known.objects:
            stored = await self.cluster.create(_valid(obj, name))
            self.seen_everywhere += [stored] if kind_of(stored) == SERVICE_ENTRY else []
        seen = await read(self.world, name, {look for it in CHECKERS for look in it.needs})
        assert not seen.unseen
        as_known = replace(seen, adopted=known.mesh, outside=known.outside)
        return [it for result in judge(as_known) for it in result.findings if it.code == code]

    async def _peopled(self, namespace: str) -> None:
        """Wait for the service account without which no Pod is let in."""
        for _ in range(100):
            if await self.cluster.get(Ref(SERVICE_ACCOUNT, namespace, "default")) is not None:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{namespace} got no service account")

    async def end(self) -> None:
        """Delete the namespaces."""
        for entry in self.seen_everywhere:
            await self.cluster.delete(ref_of(entry), guard_of(entry))
        for name in self.made:
            obj = await self.cluster.get(Ref(NAMESPACE, "", name))
            if obj is not None:
                await self.cluster.delete(Ref(NAMESPACE, "", name), guard_of(obj))


@pytest.fixture
async def spaces(kube_cluster: KubeCluster, istio_kinds: None) -> AsyncIterator[Spaces]:
    made = Spaces(kube_cluster)
    yield made
    await made.end()


def _valid(obj: Json, namespace: str) -> Json:
    """An object of a unit test with what the API server demands besides."""
    made: Json = json.loads(json.dumps(obj).replace(".shop.", f".{namespace}."))
    kind, meta = kind_of(obj), made["metadata"]
    meta.pop("uid")
    if kind.namespaced:
        meta["namespace"] = namespace
    spec = made.get("spec") or {}
    if kind == STATEFUL_SET:
        spec["serviceName"] = "web"
    inner = spec["jobTemplate"]["spec"] if kind == CRON_JOB else spec
    pod = (inner.get("template") or {}).get("spec") or (spec if kind == POD else {})
    if kind in (CRON_JOB, JOB):
        pod["restartPolicy"] = "Never"
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        container.setdefault("image", "example.com/any:1")
    return made


@pytest.mark.parametrize(("code", "case"), CASES, ids=str)
async def test_the_obstacle_is_found_where_it_is_and_not_where_it_is_not(spaces: Spaces, code: str, case: Case) -> None:
    for known, expected in ((case.trips, True), (case.passes, False)):
        found = [
            it for it in await spaces.found(known, code) if case.says in it.message.replace(spaces.made[-1], "shop")
        ]
        assert bool(found) is expected, (known, found)
        assert {it.level for it in found} <= {case.level}


async def test_an_injector_that_is_not_there_and_one_that_is(spaces: Spaces) -> None:
    known = scene(workload())
    (finding,) = await spaces.found(known, "RO520")
    assert "no webhook of an injector takes in pods" in finding.message
    hook = {
        "name": "rev.object.sidecar-injector.istio.io",
        "clientConfig": {"url": "https://127.0.0.1:1/inject"},
        "objectSelector": traffic.OBJECT["objectSelector"],
        "namespaceSelector": {"matchLabels": {"test": uuid.uuid4().hex}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    labels = hook["namespaceSelector"]["matchLabels"]  # type: ignore[index]
    meta = {"name": f"rollout-{uuid.uuid4().hex[:8]}"}
    kind = MUTATING_WEBHOOK
    made = await spaces.cluster.create(
        {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "webhooks": [hook]}
    )
    try:
        assert not await spaces.found(replace(known, labels=labels), "RO520")
        assert await spaces.found(known, "RO520")
    finally:
        await spaces.cluster.delete(Ref(kind, "", meta["name"]), guard_of(made))


async def test_a_quota_without_room(spaces: Spaces) -> None:
    tight, wide = (scene(workload(), topology.quota(requests_cpu=cpu)) for cpu in ("100m", "100"))
    (finding,) = await spaces.found(tight, "RO518")
    assert "ResourceQuota/team allows 100m requests.cpu" in finding.message
    assert not await spaces.found(wide, "RO518")
