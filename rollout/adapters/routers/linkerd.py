"""Linkerd's own HTTPRoutes (policy.linkerd.io), of the time before it read those of the Gateway API.

They are written as the Gateway API's are, and patched in the same way; where the Service has none for a port, one is
made.  What they lack: grants, for a route of any namespace may name any Service.  What hides them:

| code | level | what |
|---|---|---|
| RO344 | error | a ServiceProfile for the Service: callers that see it follow no route |
| RO345 | error | a route of the Gateway API for the Service: which of the two holds is decided by age |

A ServiceProfile is never changed: its retry budget, its time limits and its counters stay as they are.  Both facts are
in Linkerd's reference of HTTPRoute and of service profiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rollout.adapters.routers.gateway import MeshRoutes, findings
from rollout.adapters.routers.gateway.routes import concerned, service_parents
from rollout.adapters.routers.parts.spots import home_of, ref, title
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import GRPC_ROUTE, HTTP_ROUTE, HTTP_ROUTE_BETA, POLICY_ROUTES, SERVICE_PROFILE, Kind
from rollout.plan.program import Backends
from rollout.ports.router import Concerns, Feature, Objects, Read


class PolicyRoutes(MeshRoutes):
    """policy.linkerd.io: as the Gateway API, with another word for the group of Services and without grants."""

    kinds = (POLICY_ROUTES,)
    makes = POLICY_ROUTES
    dispensable = frozenset()
    group = "core"

    def others(self, backends: Backends) -> tuple[Read, ...]:
        """What is stronger than a route: profiles of the Service's namespace and of its callers', and other routes."""
        about = (f"{backends.service}.{backends.namespace}",)
        return (
            Read(SERVICE_PROFILE, optional=True, about=about),
            Read(HTTP_ROUTE, optional=True, about=about, older=(HTTP_ROUTE_BETA,)),
            Read(GRPC_ROUTE, optional=True, about=about),
        )

    def findings(self, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """See the table above, and `gateway.findings`."""
        yield from findings.find(self, backends, objects, granted=False)
        yield from findings.unsplit(backends, objects)
        yield from _profiled(backends, objects)
        yield from _rivals(backends, objects)


def profiled(obj: Json) -> frozenset[str]:
    """The Service that a ServiceProfile is about: its name is the Service's full name."""
    name, _, rest = obj["metadata"]["name"].partition(".")
    return frozenset({f"{name}.{rest.partition('.')[0]}"})


def _profiled(backends: Backends, objects: Objects) -> Iterator[Finding]:
    for obj in objects.get(SERVICE_PROFILE, ()):
        if f"{backends.service}.{backends.namespace}" not in profiled(obj):
            continue
        where = title(ref(SERVICE_PROFILE, obj), backends)
        whose = "callers" if home_of(obj) == backends.namespace else f"callers in {home_of(obj)}"
        yield Finding(
            "RO344",
            Level.ERROR,
            f"{where} is stronger than every HTTPRoute: {whose} would go to {backends.service} itself, and reach "
            "candidate pods from their start",
            where,
            "move its retries and time limits to annotations of the Service (retry.linkerd.io, timeout.linkerd.io), "
            "and delete it",
        )


def _rivals(backends: Backends, objects: Objects) -> Iterator[Finding]:
    for kind in (HTTP_ROUTE, HTTP_ROUTE_BETA, GRPC_ROUTE):
        for obj in objects.get(kind, ()):
            if any(service_parents(obj, backends)):
                where = title(ref(kind, obj), backends)
                yield Finding(
                    "RO345",
                    Level.ERROR,
                    f"{where} of the Gateway API is for {backends.service} as well: of two routes that match alike "
                    "the older one holds, and the split may hold for nobody",
                    f"{where} spec.parentRefs",
                    "use router gateway-mesh, which splits that route; or delete it",
                )


class Linkerd(ServiceRouter):
    """Splits traffic of callers inside Linkerd with its own routes."""

    name: str = "linkerd"
    dialect = PolicyRoutes()
    features: frozenset[Feature] = frozenset({Feature.FRACTIONS})
    concerns: Mapping[Kind, Concerns] = MappingProxyType(
        dict.fromkeys((*POLICY_ROUTES, HTTP_ROUTE, HTTP_ROUTE_BETA, GRPC_ROUTE), concerned)
        | {SERVICE_PROFILE: profiled}
    )
