"""Our two subsets of the Service: in the owner's ServiceResolver, or in one that is made for the run.

A subset is a filter over what Consul knows of an instance.  For a pod that is its name and its namespace, under the
keys `pod-name` and `k8s-namespace` of its meta data, whatever annotations it has; and the name of a Deployment's pod
begins with the names of the Deployment and of its ReplicaSet.  Labels are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from rollout.adapters.routers.consul.synced import spec_of
from rollout.adapters.routers.parts.names import Names, Role
from rollout.adapters.routers.parts.spots import Routing, title
from rollout.adapters.routers.parts.writing import body, candidate_name, entry, home_patch, removal
from rollout.adapters.routers.services.pair import find, marked
from rollout.adapters.routers.services.sides import Place, Sides
from rollout.errors import AlreadyExists
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import SERVICE_RESOLVER, Ref
from rollout.plan.program import Backends, Side
from rollout.ports.cluster import guard_of
from rollout.ports.router import ALL_WRITES, Change, Objects

_HASH: Final = "pod-template-hash"
LONGEST: Final = 58 - len("-bcdfghjkmn-")
"""A Deployment's name, so that its pods' names begin with it and the ReplicaSet's; Kubernetes cuts longer ones."""


def resolver_ref(backends: Backends) -> Ref:
    """It has the name of the Service."""
    return Ref(SERVICE_RESOLVER, backends.namespace, backends.service)


def name_of(backends: Backends, role: Role) -> str:
    """The name of one of our subsets."""
    return Names(backends.run).subset(role, "")


def wanted(backends: Backends) -> dict[str, Json]:
    """Our two subsets as they should be."""
    sides: tuple[tuple[Role, Side], ...] = (("stable", backends.stable), ("canary", backends.candidate))
    return {name_of(backends, role): {"filter": filter_of(side, backends)} for role, side in sides}


def filter_of(side: Side, backends: Backends) -> str:
    """The pods of a Deployment, and of one of its ReplicaSets where a side is one."""
    begin = f"{side.workload}-{side.labels[_HASH]}-" if _HASH in side.labels else f"{side.workload}-[a-z0-9]+-"
    pattern = f"^{begin.replace('.', '[.]')}[a-z0-9]+$"
    named = f'Service.Meta["pod-name"] matches "{pattern}"'
    return f'{named} and Service.Meta["k8s-namespace"] == "{backends.namespace}"'


class Subsets(Sides):
    """Two subsets in one ServiceResolver."""

    writes = MappingProxyType({SERVICE_RESOLVER: ALL_WRITES})

    def ours(self, backends: Backends, role: Role) -> Place:
        """A subset of the Service."""
        return Place(backends.namespace, backends.service, name_of(backends, role))

    def refs(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """The resolver, unless it is the owner's."""
        its = resolver_ref(backends)
        found = find(its, objects)
        return (its,) if found is None or marked(found, backends) else ()

    def present(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """The one that we made."""
        its = resolver_ref(backends)
        found = find(its, objects)
        return (its,) if found is not None and marked(found, backends) else ()

    def lodged(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """The owner's, with a subset of ours in it."""
        its = resolver_ref(backends)
        found = find(its, objects)
        theirs = found is not None and not marked(found, backends)
        return (its,) if theirs and _now(found).keys() & wanted(backends).keys() else ()

    def holders(self, backends: Backends, objects: Objects) -> Iterator[Routing]:
        """Whoever made it, Consul says whether it holds."""
        found = find(resolver_ref(backends), objects)
        if found is not None:
            yield Routing(SERVICE_RESOLVER, found, ())

    def changes(
        self, backends: Backends, service: Json, objects: Objects, owner: Mapping[str, Any]
    ) -> Iterator[Change]:
        """See `Sides.changes`. What is the owner's in his resolver stays as it is."""
        its, subsets = resolver_ref(backends), wanted(backends)
        found = find(its, objects)
        told = f"{title(its, backends)}: subsets for stable and {candidate_name(backends)}"
        if found is None:
            made = body(its, {"subsets": subsets}, owner)
            yield Change("create", its, told, made, entry=entry("subsets", its, told), groundwork=True)
            return
        ours = marked(found, backends)
        if ours and not marked(found, backends, owner):
            raise AlreadyExists(f"{title(its, backends)} exists and is not this run's", hint=f"delete or rename {its}")
        ops = list(_additions(found, subsets))
        if ops:
            undo = {"subsets": {key: it for key, it in _now(found).items() if key not in subsets}}
            line = None if ours else entry("route", its, told, found["metadata"]["uid"], undo)
            yield Change("patch", its, told, ops, guard_of(found), entry=line, groundwork=True)

    def drift(self, backends: Backends, service: Json | None, objects: Objects) -> Iterator[str]:
        """A splitter that names a subset that is gone would not be taken, and one that is empty answers 503."""
        its = resolver_ref(backends)
        found = find(its, objects)
        now = _now(found)
        wrong = [name for name, it in wanted(backends).items() if now.get(name) != it]
        if wrong:
            yield f"{title(its, backends)}: should have both subsets of the split, but {' and '.join(wrong)} differs"

    def removals(self, backends: Backends, objects: Objects) -> Iterator[Change]:
        """Our resolver, or what is ours in the owner's."""
        its = resolver_ref(backends)
        found = find(its, objects)
        if found is None:
            return
        if marked(found, backends):
            yield removal(backends, its, found)
        elif ops := list(_without(found, wanted(backends))):
            yield home_patch(backends, its, found, ops)

    def place_of(self, side: Side, backends: Backends) -> Place:
        """A subset of the owner's."""
        return Place(backends.namespace, side.host or backends.service, side.subset)

    def misnamed(self, word: str, side: Side, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """A side is a subset in the owner's resolver."""
        its = resolver_ref(backends)
        if side.host or not side.subset:
            text = f"{word} names no subset of {backends.service}: this router shifts between two of them"
            yield Finding("RO330", Level.ERROR, text, f"traffic.{word}.subset", f"name a subset of {its}")
        elif side.subset not in _now(find(its, objects)):
            text = f"{title(its, backends)} has no subset {side.subset}: Consul would not take the split"
            yield Finding("RO330", Level.ERROR, text, f"traffic.{word}.subset", "add it, or correct the name")


def _now(resolver: Json | None) -> dict[str, Json]:
    return dict(spec_of(resolver or {}).get("subsets") or {})


def _additions(resolver: Json, subsets: Mapping[str, Json]) -> Iterator[Json]:
    """What puts ours in; an operation for each, so that the owner's are not written."""
    now = _now(resolver)
    if not now:
        parent = {"op": "add", "path": "/spec/subsets", "value": dict(subsets)}
        yield parent if "spec" in resolver else {"op": "add", "path": "/spec", "value": {"subsets": dict(subsets)}}
        return
    for name, it in subsets.items():
        if now.get(name) != it:
            yield {"op": "add", "path": f"/spec/subsets/{name}", "value": it}


def _without(resolver: Json, subsets: Mapping[str, Json]) -> Iterator[Json]:
    """What takes ours out; where there are no others, the owner had none."""
    now = _now(resolver)
    ours = [name for name in now if name in subsets]
    if ours and len(ours) == len(now):
        yield {"op": "test", "path": "/spec/subsets", "value": now}
        yield {"op": "remove", "path": "/spec/subsets"}
        return
    for name in ours:
        yield {"op": "test", "path": f"/spec/subsets/{name}", "value": now[name]}
        yield {"op": "remove", "path": f"/spec/subsets/{name}"}
