"""Gateway API: HTTPRoutes and GRPCRoutes, whoever implements them.

`gateway` steers the routes that there are: a Gateway's (from outside) as well as a mesh's.  `gateway-mesh` also makes
one for callers inside a mesh (GAMMA: the route's parent is the Service) where the owner has none for a port: Istio with
sidecars or waypoints, Linkerd, Cilium.  Without a mesh nobody would ever accept it.

| question | module |
|---|---|
| where destinations, parents and mirrors are in a route | `routes` |
| whether a controller has looked at a route, and what it says | `status` |
| what would go wrong | `findings` |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

from rollout.adapters.routers.gateway import findings, status
from rollout.adapters.routers.gateway.routes import concerned, destination, moved, ports_answered, service_parents
from rollout.adapters.routers.parts.protocols import protocol
from rollout.adapters.routers.parts.spots import home_of
from rollout.adapters.routers.services.dialect import Dialect, Rule, Wanted
from rollout.adapters.routers.services.pair import marked
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.adapters.routers.services.sides import Place
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import GRPC_ROUTE, HTTP_ROUTE, HTTP_ROUTE_BETA, REFERENCE_GRANT, REFERENCE_GRANT_BETA, Kind, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Concerns, Feature, Objects, Read


class Routes(Dialect):
    """gateway.networking.k8s.io: the rules of a route have destinations, with weights of at most a million."""

    kinds: ClassVar[tuple[tuple[Kind, ...], ...]] = ((HTTP_ROUTE, HTTP_ROUTE_BETA), (GRPC_ROUTE,))
    dispensable = frozenset({GRPC_ROUTE})
    wide = True
    limit = 1_000_000
    fields = ".spec.rules[].backendRefs"

    def rules(self, obj: Json) -> Iterator[Rule]:
        """Each rule is a list."""
        for index, rule in enumerate(obj["spec"].get("rules") or ()):
            yield Rule("rules", index, rule, "backendRefs")

    def place(self, entry: Json, home: str) -> Place | None:
        """Only Services count."""
        return destination(entry, home)

    def to(self, entry: Json, place: Place, home: str) -> Json:
        """The same destination at another Service, with its port and filters."""
        return moved(entry, place, home)

    def answers(self, obj: Json, backends: Backends) -> bool:
        """Whether the Service is a parent, and the route its own namespace's: others speak for their own callers."""
        return home_of(obj) == backends.namespace and any(service_parents(obj, backends))

    def wanted(self, backends: Backends, service: Json, objects: Objects) -> Iterator[Wanted]:
        """None: only routes that there are."""
        return iter(())

    def pending(self, obj: Json) -> str:
        """Until a controller has looked at what is written now."""
        return status.pending(obj)

    def refused(self, obj: Json) -> str:
        """What a controller has against what is written now."""
        return status.refused(obj)

    def others(self, backends: Backends) -> tuple[Read, ...]:
        """The grants by which routes of other namespaces may name Services here."""
        return (Read(REFERENCE_GRANT, backends.namespace, optional=True, older=(REFERENCE_GRANT_BETA,)),)

    def findings(self, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """See `findings`."""
        return findings.find(self, backends, objects)


class MeshRoutes(Routes):
    """The same, with a route for each port of the Service that no route of its owner answers for."""

    makes: ClassVar[tuple[Kind, ...]] = (HTTP_ROUTE, HTTP_ROUTE_BETA)
    group: ClassVar[str] = ""
    """How a parent's group is written for a Service."""

    def wanted(self, backends: Backends, service: Json, objects: Objects) -> Iterator[Wanted]:
        """One HTTPRoute for each port that may speak HTTP; gRPC is HTTP as well."""
        kind = next((kind for kind in self.makes if kind in objects), self.makes[0])
        theirs = [obj for it in self.flat for obj in objects.get(it, ()) if not marked(obj, backends)]
        taken = ports_answered(theirs, backends)
        ports = [it for it in service["spec"].get("ports") or () if protocol(it) in ("http", "any")]
        for port in ports:
            number = port["port"]
            if number in taken or None in taken:
                continue
            name = backends.run if len(ports) == 1 else f"{backends.run}-{number}"
            parent = {"group": self.group, "kind": "Service", "name": backends.service, "port": number}
            spec = {"parentRefs": [parent], "rules": [{"backendRefs": [{"name": backends.service, "port": number}]}]}
            yield Wanted(Ref(kind, backends.namespace, name), spec)

    def findings(self, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """Ports that no HTTPRoute can split, besides."""
        yield from super().findings(backends, objects)
        yield from findings.unsplit(backends, objects)


class Gateway(ServiceRouter):
    """Splits traffic with the routes that there are."""

    name: str = "gateway"
    dialect = Routes()
    features: frozenset[Feature] = frozenset({Feature.FRACTIONS})
    concerns: Mapping[Kind, Concerns] = MappingProxyType(dict.fromkeys(dialect.flat, concerned))


class GatewayMesh(Gateway):
    """Splits traffic of callers inside a mesh as well."""

    name: str = "gateway-mesh"
    part = "gateway"
    dialect = MeshRoutes()
