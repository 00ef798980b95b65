"""The VirtualService that we make for the run where the mesh has none for the Service.

It is seen where our DestinationRule is and nowhere else: a route to subsets that a caller cannot see is a 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from rollout.adapters.routers.istio.hosts import beyond, covers, home_of, in_mesh, reach, reach_of
from rollout.adapters.routers.istio.routes import in_scope, owned, traffic_only
from rollout.adapters.routers.istio.rule import export_of
from rollout.adapters.routers.istio.shares import OwnSubsets, divide
from rollout.plan.base import Json
from rollout.plan.kinds import SERVICE, VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects

Protocol = Literal["http", "tls", "tcp", "udp", "any"]

_HTTP: Final = frozenset({"http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"})
_TLS: Final = frozenset({"https", "tls", "kubernetes.io/wss"})
_TCP: Final = frozenset({"tcp", "mongo", "mysql", "redis"})


def protocol(port: Mapping[str, Any]) -> Protocol:
    """What Istio takes a Service's port for: by `appProtocol`, else by the name's first part; `any` is sniffed."""
    if port.get("protocol") == "UDP":
        return "udp"
    name = str(port.get("name") or "")
    said = str(port.get("appProtocol") or "").lower() or (
        "grpc-web" if name.startswith("grpc-web") else name.split("-")[0]
    )
    if said in _HTTP:
        return "http"
    if said in _TLS:
        return "tls"
    return "tcp" if said in _TCP else "any"


def service_of(backends: Backends, objects: Objects) -> Json | None:
    """The Service whose traffic is split."""
    name = (backends.namespace, backends.service)
    return next((s for s in objects.get(SERVICE, ()) if (home_of(s), s["metadata"]["name"]) == name), None)


def ports_of(backends: Backends, objects: Objects) -> list[Json]:
    """The Service's ports."""
    service = service_of(backends, objects)
    return list((service or {"spec": {}})["spec"].get("ports") or ())


def seen_from(backends: Backends, objects: Objects) -> frozenset[str]:
    """The namespaces that see our rule, and so may see a route of ours; `*` alone for all."""
    return reach(export_of(backends, objects), backends.namespace)


def answers(obj: Json, backends: Backends, callers: frozenset[str]) -> bool:
    """Whether it decides where the sidecars of all these callers' namespaces send requests to the Service."""
    home = home_of(obj)
    hosts = obj["spec"].get("hosts") or ()
    return in_mesh(obj) and not beyond(callers, reach_of(obj)) and any(covers(host, home, backends) for host in hosts)


def is_missing(backends: Backends, objects: Objects) -> bool:
    """Whether the mesh has no route to the Service that could be split, so that we have to make one.

    A plan that names its VirtualServices, or shifts between the owner's backends, never gets one.
    """
    if backends.virtual_services or traffic_only(backends) or find_made(backends, objects) is not None:
        return False
    callers = seen_from(backends, objects)
    return not any(answers(obj, backends, callers) for obj in in_scope(backends, objects))


def made_ref(backends: Backends) -> Ref:
    """The name of the one that we make."""
    return Ref(VIRTUAL_SERVICE, backends.namespace, backends.run)


def find_made(backends: Backends, objects: Objects) -> Json | None:
    """The one that we made."""
    return next((obj for obj in objects.get(VIRTUAL_SERVICE, ()) if owned(obj, backends)), None)


def make_spec(backends: Backends, objects: Objects, candidate: int) -> Json:
    """Its spec: HTTP on every port that may speak it, TCP port by port; `candidate` in units of 0.01 %."""
    plain = [{"destination": {"host": backends.service}}]
    spec: Json = {"hosts": [backends.service]}
    if export := export_of(backends, objects):
        spec["exportTo"] = export
    ports = ports_of(backends, objects)
    kinds = {protocol(port) for port in ports}
    if not ports or kinds & {"http", "any"}:
        spec["http"] = [{"route": _divided(backends, plain, candidate)}]
    tcp = [
        {
            "match": [{"port": port["port"]}],
            "route": _divided(
                backends, [{"destination": {"host": backends.service, "port": {"number": port["port"]}}}], candidate
            ),
        }
        for port in ports
        if protocol(port) in ("tcp", "any")
    ]
    return {**spec, "tcp": tcp} if tcp else spec


def export_ops(backends: Backends, objects: Objects, made: Json) -> list[Json]:
    """What brings the one that we made to where our rule is seen; nothing where it is so."""
    wanted, path = export_of(backends, objects), "/spec/exportTo"
    if (made["spec"].get("exportTo") or []) == wanted:
        return []
    return [{"op": "add", "path": path, "value": wanted} if wanted else {"op": "remove", "path": path}]


def _divided(backends: Backends, entries: list[Json], candidate: int) -> list[Json]:
    return divide(OwnSubsets(backends).shares(entries, backends.namespace), candidate)
