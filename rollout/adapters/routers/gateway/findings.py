"""What only the Gateway API can get wrong.

| code | level | what |
|---|---|---|
| RO314 | warning | requests are mirrored to the Service, past the split |
| RO323 | warning, error | a TCP or TLS port has no route that could be split (error: no port has one) |
| RO342 | error | no controller accepts a route that would be split |
| RO343 | error | a route of another namespace may name the Service, but not the two that are made for the run |
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.adapters.routers.gateway.routes import destination, mirrors
from rollout.adapters.routers.parts.protocols import ports_of, protocol
from rollout.adapters.routers.parts.spots import Routing, home_of, title, traffic_only
from rollout.adapters.routers.services.dialect import Dialect
from rollout.adapters.routers.services.routes import owned, routings
from rollout.adapters.routers.services.sides import Place
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import REFERENCE_GRANT, REFERENCE_GRANT_BETA
from rollout.plan.program import Backends
from rollout.ports.router import Objects


def find(dialect: Dialect, backends: Backends, objects: Objects, *, granted: bool = True) -> Iterator[Finding]:
    """All about the routes that there are; `granted`: those of other namespaces need a grant."""
    for one in routings(dialect, backends, objects):
        if owned(dialect, one, backends):
            continue
        yield from _unaccepted(dialect, one, backends)
        if granted and not traffic_only(backends) and one.ref.namespace != backends.namespace:
            yield from _ungranted(one, backends, objects)
    for kind in dialect.flat:
        for obj in objects.get(kind, ()):
            yield from _mirrored(Routing(kind, obj, ()), backends)


def unsplit(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """Ports whose connections go past every route."""
    ports = ports_of(backends, objects)
    loose = [port for port in ports if protocol(port) in ("tcp", "tls")]
    for port in loose:
        yield Finding(
            "RO323",
            Level.ERROR if len(loose) == len(ports) else Level.WARNING,
            f"port {port['port']} of Service/{backends.service} speaks no HTTP: its connections are not split, and "
            "reach candidate pods from their start",
            f"Service/{backends.service} spec.ports",
            "use a router that splits connections (see the table in the README), or accept it",
        )


def _unaccepted(dialect: Dialect, one: Routing, backends: Backends) -> Iterator[Finding]:
    why = dialect.pending(one.obj) or dialect.refused(one.obj)
    if why:
        where = title(one.ref, backends)
        yield Finding(
            "RO342",
            Level.ERROR,
            f"{where} goes to {backends.service} and holds for nobody: {why}",
            f"{where} status.parents",
            "have its parent's controller accept it, or delete it; a run waits until what it writes is accepted",
        )


def _ungranted(one: Routing, backends: Backends, objects: Objects) -> Iterator[Finding]:
    grants = (obj for kind in (REFERENCE_GRANT, REFERENCE_GRANT_BETA) for obj in objects.get(kind, ()))
    rules = [grant["spec"] for grant in grants if home_of(grant) == backends.namespace]
    if not any(_from(rule, one) and _to_all(rule) for rule in rules):
        where = title(one.ref, backends)
        yield Finding(
            "RO343",
            Level.ERROR,
            f"no ReferenceGrant lets {where} name just any Service of {backends.namespace}: the two that are made for "
            "the run would be refused, and their requests answered 500",
            f"ReferenceGrant in {backends.namespace}",
            "take the name out of `spec.to` of the grant that lets it name the Service",
        )


def _from(rule: dict[str, list[dict[str, str]]], one: Routing) -> bool:
    wanted = (one.kind.group, one.kind.name, one.ref.namespace)
    return any((it.get("group"), it.get("kind"), it.get("namespace")) == wanted for it in rule.get("from") or ())


def _to_all(rule: dict[str, list[dict[str, str]]]) -> bool:
    return any(
        not it.get("group") and it.get("kind") == "Service" and not it.get("name") for it in rule.get("to") or ()
    )


def _mirrored(one: Routing, backends: Backends) -> Iterator[Finding]:
    where = title(one.ref, backends)
    for place, mirror in mirrors(one.obj):
        if destination(mirror, one.ref.namespace) == Place(backends.namespace, backends.service):
            yield Finding(
                "RO314",
                Level.WARNING,
                f"{where} mirrors requests to {backends.service} in {place}: copies are not split by weight and reach "
                "candidate pods from their start",
                f"{where} spec.{place}",
                "point the mirror at a Service of stable pods, or accept it",
            )
