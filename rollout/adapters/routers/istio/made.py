"""The VirtualService that we make for the run where the mesh has none for the Service.

It is seen where our DestinationRule is and nowhere else: a route to subsets that a caller cannot see is a 503.
"""

from __future__ import annotations

from rollout.adapters.routers.istio.hosts import beyond, covers, in_mesh, reach, reach_of
from rollout.adapters.routers.istio.routes import in_scope, owned
from rollout.adapters.routers.istio.rule import export_of
from rollout.adapters.routers.istio.shares import OwnSubsets
from rollout.adapters.routers.parts.protocols import ports_of, protocol
from rollout.adapters.routers.parts.shares import divide
from rollout.adapters.routers.parts.spots import home_of, traffic_only
from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects


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
    split = OwnSubsets(backends)
    return divide(split.shares(entries, backends.namespace), candidate, split)
