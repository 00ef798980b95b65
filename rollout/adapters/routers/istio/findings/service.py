"""Findings about the Service, and about Sidecars that hide it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.adapters.routers.istio.hosts import covers
from rollout.adapters.routers.istio.made import is_missing
from rollout.adapters.routers.istio.routes import routings
from rollout.adapters.routers.parts.findings import of_service
from rollout.adapters.routers.parts.protocols import ports_of, protocol
from rollout.adapters.routers.parts.selected import service_of
from rollout.adapters.routers.parts.spots import Spot, home_of
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import SIDECAR
from rollout.plan.program import Backends
from rollout.ports.router import Objects


def find(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """All of them."""
    service = service_of(backends, objects)
    yield from of_service(backends, service)
    if service is not None:
        yield from _unsplit(backends, objects, f"Service/{backends.service}")
    for sidecar in objects.get(SIDECAR, ()):
        yield from _hidden(sidecar, backends)


def _unsplit(backends: Backends, objects: Objects, where: str) -> Iterator[Finding]:
    """Ports whose connections go past every split route. Sniffed ports count as HTTP."""
    ports = ports_of(backends, objects)
    made = is_missing(backends, objects)
    spots = [spot for routing in routings(backends, objects) for spot in routing.steered]
    loose = [port for port in ports if not _is_split(port, spots, made=made)]
    for port in loose:
        level = Level.ERROR if len(loose) == len(ports) else Level.WARNING
        kind = protocol(port)
        yield Finding(
            "RO323",
            level,
            f"no {'tls' if kind == 'tls' else 'tcp'} route goes to port {port['port']} of {where}: its connections are "
            "not split, and reach candidate pods from their start",
            f"{where} spec.ports",
            f"add a `{'tls' if kind == 'tls' else 'tcp'}` route for it to a VirtualService",
        )


def _is_split(port: Json, spots: Sequence[Spot], *, made: bool) -> bool:
    match protocol(port):
        case "http" | "any":
            return True
        case "udp":
            return True  # the mesh never sees it
        case "tcp":
            return made or any(spot.section == "tcp" and _for_port(spot, port["port"]) for spot in spots)
        case "tls":
            return any(spot.section == "tls" and _for_port(spot, port["port"]) for spot in spots)


def _for_port(spot: Spot, port: int) -> bool:
    matches = spot.route.get("match") or [{}]
    return any(match.get("port", port) == port for match in matches)


def _hidden(sidecar: Json, backends: Backends) -> Iterator[Finding]:
    home = home_of(sidecar)
    egress = sidecar["spec"].get("egress") or ()
    if home != backends.namespace or not egress:
        return
    hosts = [host for listener in egress for host in listener.get("hosts") or ()]
    if not any(_lets_through(host, home, backends) for host in hosts):
        where = f"Sidecar/{sidecar['metadata']['name']}"
        yield Finding(
            "RO324",
            Level.WARNING,
            f"{where} does not let its pods see {backends.service}: their requests bypass the split",
            f"{where} spec.egress",
            f"add `./{backends.service}.{backends.namespace}.svc.cluster.local` to its egress hosts",
        )


def _lets_through(host: str, home: str, backends: Backends) -> bool:
    namespace, _, name = host.rpartition("/")
    seen = namespace in ("*", backends.namespace) or (namespace == "." and home == backends.namespace)
    return seen and covers(name, home, backends)
