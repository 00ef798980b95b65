"""A router's world on a real API server, with the router's own kinds: the second adapter of the router suite."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final

import pytest
import yaml

from rollout.adapters.kube.cluster import KubeCluster, connect
from rollout.plan.base import Json
from rollout.plan.kinds import (
    DESTINATION_RULE,
    GRPC_ROUTE,
    HTTP_ROUTE,
    NAMESPACE,
    POLICY_ROUTES,
    REFERENCE_GRANT,
    SERVICE_DEFAULTS,
    SERVICE_PROFILE,
    SERVICE_RESOLVER,
    SERVICE_ROUTER,
    SERVICE_SPLITTER,
    SIDECAR,
    TRAFFIC_SPLITS,
    VIRTUAL_SERVICE,
    Kind,
    Ref,
    ref_of,
)
from rollout.ports.cluster import guard_of
from rollout.ports.router import Change, Objects
from tests.conformance.router_suite import World
from tests.kit import crds
from tests.kit.apiserver import ApiServer
from tests.kit.lab import missing

ISTIO: Final = (VIRTUAL_SERVICE, DESTINATION_RULE, SIDECAR)
GATEWAY: Final = (HTTP_ROUTE, GRPC_ROUTE, REFERENCE_GRANT)
NAMESPACES: Final = ("shop", "edge", "other", "istio-system", "mesh-root")
"""Where the suite's objects are."""


@contextmanager
def served(apiserver: ApiServer, kinds: Collection[Kind], definitions: Callable[[], list[Json]]) -> Iterator[None]:
    """The kinds of a router, from its maker's CRDs, for so long; a cluster that has them keeps its own."""
    names = [f"crd/{kind.plural}.{kind.group}" for kind in kinds]
    present = apiserver.kubectl("get", "crd", "--output=name").split()
    if {name.replace("crd/", "customresourcedefinition.apiextensions.k8s.io/") for name in names} <= set(present):
        yield
        return
    wanted = {kind.name for kind in kinds}
    items = [crd for crd in definitions() if crd["spec"]["names"]["kind"] in wanted]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    apiserver.kubectl("apply", "--server-side", "--filename=-", stdin=manifest)
    apiserver.established(*names)
    yield
    apiserver.kubectl("delete", *names)


def istio_definitions() -> list[Json]:
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
    return [crd for crd in yaml.safe_load_all(file.read_text()) if crd]


@pytest.fixture(scope="module")
def istio_kinds(apiserver: ApiServer) -> Iterator[None]:
    """Istio's kinds, as long as the tests of a module run."""
    with served(apiserver, ISTIO, istio_definitions):
        yield


def gateway_definitions() -> list[Json]:
    """The standard channel of the Gateway API, from the Go module that Istio is built with."""
    try:
        from lab.errors import LabError
        from lab.programs import source
    except ImportError as error:
        missing(f"the Gateway API's CRDs are found through the lab, which cannot be imported: {error}")
    try:
        folder = source("istio", "sigs.k8s.io/gateway-api") / "config/crd/standard"
    except LabError as error:
        missing(f"the Gateway API's CRDs are not to be had: {error}")
    found = (it for file in sorted(folder.glob("*.yaml")) for it in yaml.safe_load_all(file.read_text()) if it)
    return [it for it in found if it["kind"] == "CustomResourceDefinition"]


@pytest.fixture(scope="module")
def gateway_kinds(apiserver: ApiServer) -> Iterator[None]:
    """The kinds of the Gateway API, as long as the tests of a module run."""
    with served(apiserver, GATEWAY, gateway_definitions):
        yield


@pytest.fixture(scope="module")
def smi_kinds(apiserver: ApiServer) -> Iterator[None]:
    """TrafficSplits in the newest version, as long as the tests of a module run."""
    spec = crds.traffic_split(crds.WHOLE, matches=True)
    with served(apiserver, TRAFFIC_SPLITS[:1], lambda: [crds.definition(TRAFFIC_SPLITS[:1], [spec], TRAFFIC_SPLITS)]):
        yield


@pytest.fixture(scope="module")
def linkerd_kinds(apiserver: ApiServer, gateway_kinds: None) -> Iterator[None]:
    """Linkerd's HTTPRoutes and profiles, and what else its routes can be, as long as the tests of a module run."""
    made = [
        crds.definition(POLICY_ROUTES, [crds.policy_route()] * len(POLICY_ROUTES), POLICY_ROUTES),
        crds.definition([SERVICE_PROFILE], [crds.service_profile()], [SERVICE_PROFILE]),
    ]
    with served(apiserver, (POLICY_ROUTES[0], SERVICE_PROFILE), lambda: made):
        yield


@pytest.fixture(scope="module")
def consul_kinds(apiserver: ApiServer) -> Iterator[None]:
    """Consul's kinds, as long as the tests of a module run."""
    specs = {
        SERVICE_RESOLVER: crds.consul_resolver(),
        SERVICE_SPLITTER: crds.consul_splitter(),
        SERVICE_ROUTER: crds.consul_router(),
        SERVICE_DEFAULTS: crds.consul_defaults(),
    }
    made = [crds.definition([kind], [spec], [kind], status=crds.synced()) for kind, spec in specs.items()]
    with served(apiserver, tuple(specs), lambda: made):
        yield


class Served:
    """An API server that is called and waited for, with namespaces of its own that go by the names of the suite's."""

    def __init__(self, cluster: KubeCluster, runner: asyncio.Runner) -> None:
        self.cluster, self.run = cluster, runner.run
        self._mark = f"-{uuid.uuid4().hex[:8]}"
        self._names = re.compile(rf"\b({'|'.join(NAMESPACES)})\b")

    def there(self, obj: Any) -> Any:
        """What is said, as the server has it: each name of a namespace is marked."""
        return json.loads(self._names.sub(rf"\1{self._mark}", json.dumps(obj)))

    def here(self, obj: Json) -> Json:
        """The object as the suite knows it."""
        said: Json = json.loads(json.dumps(obj).replace(self._mark, ""))
        return said

    def ref(self, ref: Ref) -> Ref:
        """The name of an object on the server."""
        return Ref(ref.kind, self.there(ref.namespace), self.there(ref.name))

    def found(self, kind: Kind) -> list[Json]:
        """All objects of a kind in our namespaces."""
        found = (self.here(obj) for obj in self.run(self.cluster.list(kind)) if self._is_ours(obj["metadata"]))
        return [obj for obj in found if obj["metadata"]["name"] != "kube-root-ca.crt"]  # every namespace is given one

    def _is_ours(self, meta: Json) -> bool:
        return str(meta.get("namespace", "")).endswith(self._mark)

    def delete(self, ref: Ref) -> None:
        """Delete an object, whatever became of it."""
        obj = self.run(self.cluster.get(self.ref(ref)))
        if obj is not None:
            self.run(self.cluster.delete(self.ref(ref), guard_of(obj)))


class ServedWorld(World):
    """The objects of some kinds on an API server."""

    def __init__(self, served: Served, objects: Iterable[Json], kinds: Collection[Kind]) -> None:
        self.served, self.kinds, self.given = served, kinds, list(objects)
        for ref in self.objects:
            served.delete(ref)
        for obj in self.given:
            self.put(obj)

    @property
    def objects(self) -> dict[Ref, Json]:  # type: ignore[override]  # read anew each time
        """All of them."""
        return {ref_of(obj): obj for found in self.read().values() for obj in found}

    def fresh(self) -> World:
        """This world as it was in the beginning."""
        return ServedWorld(self.served, self.given, self.kinds)

    def read(self) -> Objects:
        """Everything, by kind."""
        found = {kind: self.served.found(kind) for kind in self.kinds}
        return {kind: objects for kind, objects in found.items() if objects}

    def put(self, obj: Json) -> None:
        """Write as the owner does: create, or replace the spec."""
        cluster, ref = self.served.cluster, self.served.ref(ref_of(obj))
        before = self.served.run(cluster.get(ref))
        spec = obj.get("spec", {})
        if before is None:
            if spec.get("clusterIP", "None") != "None":
                spec = {key: value for key, value in spec.items() if key != "clusterIP"}  # the server gives one
            meta = {key: value for key, value in obj["metadata"].items() if key not in ("uid", "resourceVersion")}
            given = {**obj, "metadata": meta} | ({"spec": spec} if spec else {})
            self.served.run(cluster.create(self.served.there(given)))
        else:
            ops = [{"op": "replace", "path": "/spec", "value": self.served.there(spec)}]
            self.served.run(cluster.patch(ref, ops, guard_of(before)))

    def apply(self, change: Change) -> None:
        """Do one write; the API server checks its guard."""
        cluster, ref, body = self.served.cluster, self.served.ref(change.ref), self.served.there(change.body)
        if change.op == "create":
            assert isinstance(body, dict)
            assert ref_of(body) == ref
            self.served.run(cluster.create(body))
            return
        assert change.guard is not None, f"{change.op} without a guard"
        if change.op == "delete":
            self.served.run(cluster.delete(ref, change.guard))
        else:
            assert isinstance(body, list)
            self.served.run(cluster.patch(ref, body, change.guard))


@pytest.fixture(scope="module")
def served_world(apiserver: ApiServer) -> Iterator[Callable[[Iterable[Json], Collection[Kind]], World]]:
    """Makes a world of these objects and kinds on the API server, in the place of the one before it."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        cluster = runner.run(stack.enter_async_context(connect(str(apiserver.kubeconfig))))
        place = Served(cluster, runner)
        for name in NAMESPACES:
            meta = {"name": place.there(name)}
            runner.run(cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}))
        yield lambda objects, kinds: ServedWorld(place, objects, kinds)
        for name in NAMESPACES:
            place.delete(Ref(NAMESPACE, "", name))
        runner.run(stack.aclose())
