"""Our two Services: the owner's, narrowed to the pods of one side.

They copy what decides how requests reach a pod: ports, affinity, address families, and the mesh's own settings in
labels and annotations (a waypoint, opaque ports).  Nothing else: a tracking label would hand them to a GitOps tool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rollout.adapters.routers.parts.names import Names, Role
from rollout.adapters.routers.parts.spots import home_of, title
from rollout.adapters.routers.parts.writing import body, candidate_name, entry
from rollout.errors import AlreadyExists
from rollout.plan.base import RUN_LABEL, RUN_UID, Json
from rollout.plan.kinds import SERVICE, Ref
from rollout.plan.program import Backends, Side
from rollout.ports.cluster import guard_of
from rollout.ports.router import Change, Objects

ROLES: Final[tuple[Role, Role]] = ("stable", "canary")
_COPIED: Final = (
    "sessionAffinity",
    "sessionAffinityConfig",
    "internalTrafficPolicy",
    "trafficDistribution",
    "publishNotReadyAddresses",
    "ipFamilies",
    "ipFamilyPolicy",
)
_PORT: Final = ("name", "protocol", "appProtocol", "port", "targetPort")
_MESHES: Final = ("istio.io", "linkerd.io", "consul.hashicorp.com", "cilium.io")
"""Domains whose labels and annotations on a Service change how a mesh treats it."""


def pair_ref(backends: Backends, role: Role) -> Ref:
    """The name of one of them."""
    name = Names(backends.run).subset(role, "")
    return Ref(SERVICE, backends.namespace, name if name[0].isalpha() else f"r-{name}")


def refs(backends: Backends) -> tuple[Ref, Ref]:
    """Stable's and the candidate's."""
    return pair_ref(backends, "stable"), pair_ref(backends, "canary")


def marked(obj: Json, backends: Backends, owner: Mapping[str, Any] | None = None) -> bool:
    """Whether an object was made for this run; with `owner`, by this very run and not a namesake."""
    meta = obj["metadata"]
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    ours = ((owner or {}).get("annotations") or {}).get(RUN_UID)
    mine = labels.get(RUN_LABEL) == backends.run and RUN_UID in notes and home_of(obj) == backends.namespace
    return mine and (ours is None or notes[RUN_UID] == ours)


def find(its: Ref, objects: Objects) -> Json | None:
    """The object of this name, whoever made it."""
    found = objects.get(its.kind, ())
    return next((o for o in found if (home_of(o), o["metadata"]["name"]) == (its.namespace, its.name)), None)


def present(backends: Backends, objects: Objects) -> tuple[Ref, ...]:
    """Those of ours that exist."""
    return tuple(its for its in refs(backends) if (obj := find(its, objects)) is not None and marked(obj, backends))


def changes(backends: Backends, service: Json, objects: Objects, owner: Mapping[str, Any]) -> Iterator[Change]:
    """What brings both to where they should be.

    Raises:
        AlreadyExists: a Service of somebody else has the name.
    """
    for role, side in zip(ROLES, (backends.stable, backends.candidate), strict=True):
        its = pair_ref(backends, role)
        found, spec = find(its, objects), wanted_spec(service, side)
        what = f"{title(its, backends)}: the pods of {side.workload if role == 'stable' else candidate_name(backends)}"
        if found is None:
            made = body(its, spec, _with_mesh(owner, service))
            yield Change("create", its, what, made, entry=entry("subsets", its, what), groundwork=True)
            continue
        if not marked(found, backends, owner):
            raise AlreadyExists(f"{title(its, backends)} exists and is not this run's", hint=f"delete or rename {its}")
        ops = [op for key in ("selector", "ports") for op in _differing(found, spec, key)]
        if ops:
            told = f"{title(its, backends)}: brought up to date"
            yield Change("patch", its, told, ops, guard_of(found), groundwork=True)


def drift(backends: Backends, service: Json | None, objects: Objects) -> Iterator[str]:
    """What is wrong with them while routes name them."""
    for its, side in zip(refs(backends), (backends.stable, backends.candidate), strict=True):
        found = find(its, objects)
        if found is None or not marked(found, backends):
            yield f"{title(its, backends)}: should exist, but the Service that routes name is gone"
        elif service is not None:
            spec = wanted_spec(service, side)
            wrong = [key for key in ("selector", "ports") if list(_differing(found, spec, key))]
            if wrong:
                yield f"{title(its, backends)}: its {' and '.join(wrong)} should follow your own Service, but differ"


def wanted_spec(service: Json, side: Side) -> Json:
    """The spec that it should have now."""
    spec = service["spec"]
    return {
        "selector": {**(spec.get("selector") or {}), **side.labels},
        "ports": [_port(port) for port in spec.get("ports") or ()],
        **{key: spec[key] for key in _COPIED if key in spec},
    }


def _port(port: Mapping[str, Any]) -> Json:
    """A port without what the API server gives each Service of its own."""
    full = {"protocol": "TCP", "targetPort": port["port"], **port}
    return {key: full[key] for key in _PORT if key in full}


def _differing(found: Json, spec: Json, key: str) -> Iterator[Json]:
    now = found["spec"].get(key)
    same = [_port(port) for port in now or ()] if key == "ports" else now
    if same != spec[key]:
        yield {"op": "test", "path": f"/spec/{key}", "value": now}
        yield {"op": "replace", "path": f"/spec/{key}", "value": spec[key]}


def _with_mesh(owner: Mapping[str, Any], service: Json) -> Json:
    meta = service["metadata"]
    return {
        **owner,
        "labels": {**_of_meshes(meta.get("labels") or {}), **(owner.get("labels") or {})},
        "annotations": {**_of_meshes(meta.get("annotations") or {}), **(owner.get("annotations") or {})},
    }


def _of_meshes(marks: Mapping[str, str]) -> dict[str, str]:
    domains: Sequence[tuple[str, str]] = [(key, key.partition("/")[0]) for key in marks]
    return {key: marks[key] for key, domain in domains if domain.endswith(_MESHES)}
