"""The writes that split the service's traffic: subsets first, then every route that goes to it.

In a traffic-only plan a weight of 0 is the owner's own route, so nothing of ours is left in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from rollout.adapters.routers.istio.homing import unshift
from rollout.adapters.routers.istio.made import export_ops, find_made, is_missing, made_ref, make_spec
from rollout.adapters.routers.istio.originals import entry_for, records, undo_of, written
from rollout.adapters.routers.istio.routes import Routing, Spot, owned, routings, split_of, title, traffic_only
from rollout.adapters.routers.istio.rule import find_rule, rule_ref, wanted_spec
from rollout.adapters.routers.istio.shares import Split, divide
from rollout.adapters.routers.istio.view import settled
from rollout.adapters.routers.istio.weights import units
from rollout.errors import AlreadyExists, NotFound, Unsupported
from rollout.plan.base import RUN_UID, Json
from rollout.plan.kinds import Ref
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.cluster import guard_of
from rollout.ports.router import Change, Objects


def steer(
    backends: Backends, objects: Objects, weight: float, journal: Sequence[Entry], owner: Mapping[str, Any]
) -> tuple[Change, ...]:
    """See `ports.router.Router.steer`.

    Raises:
        NotFound: no route goes to the service, so nothing can be split.
        Unsupported: the Service has only ports whose routes we cannot make (TLS).
        AlreadyExists: an object of somebody else has the name of ours.
    """
    candidate = units(weight)
    found = routings(backends, objects)
    missing = is_missing(backends, objects)
    if not found and not missing:
        raise NotFound(
            f"no VirtualService routes to {backends.service} in {backends.namespace}",
            hint="give it a route to the Service, or correct `router.virtualServices`",
        )
    if traffic_only(backends) and not candidate:
        return unshift(backends, objects, journal)
    split = split_of(backends, objects)
    what = f"{weight:g} % to {_candidate_name(backends)}"
    changes = [] if traffic_only(backends) else _subsets(backends, objects, found, owner)
    if missing:
        changes.append(_make(backends, objects, candidate, what, owner))
    for routing in found:
        change = _shift(backends, routing, split, candidate, what, journal)
        if change is not None:
            changes.append(change)
    if not any(change.ref == made_ref(backends) for change in changes):
        changes += _seen_again(backends, objects)
    return tuple(_with_weight_entry(changes, candidate, journal))


def _candidate_name(backends: Backends) -> str:
    side = backends.candidate
    return side.workload or side.subset or side.host


def _entry(
    kind: Literal["subsets", "route", "weight"], ref: Ref, what: str, uid: str = "", undo: Json | None = None
) -> Entry:
    return Entry(kind, ref.kind.api_version, ref.kind.name, ref.namespace, ref.name, what, uid, undo or {})


def _body(ref: Ref, spec: Json, owner: Mapping[str, Any]) -> Json:
    meta = {**owner, "name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.name, "metadata": meta, "spec": spec}


def _subsets(backends: Backends, objects: Objects, found: Sequence[Routing], owner: Mapping[str, Any]) -> list[Change]:
    ref = rule_ref(backends)
    rule = find_rule(backends, objects)
    spec = wanted_spec(backends, objects, found)
    if rule is None:
        what = f"{title(ref, backends)}: subsets for stable and {_candidate_name(backends)}"
        line = _entry("subsets", ref, what)
        return [Change("create", ref, what, _body(ref, spec, owner), entry=line, groundwork=True)]
    _refuse_foreign(rule, backends, owner, ref)
    if rule["spec"] == spec:
        return []
    ops = [{"op": "test", "path": "/spec", "value": rule["spec"]}, {"op": "replace", "path": "/spec", "value": spec}]
    told = f"{title(ref, backends)}: subsets brought up to date"
    return [Change("patch", ref, told, ops, guard_of(rule), groundwork=True)]


def _refuse_foreign(obj: Json, backends: Backends, owner: Mapping[str, Any], ref: Ref) -> None:
    marks = obj["metadata"].get("annotations") or {}
    ours = (owner.get("annotations") or {}).get(RUN_UID)
    if not owned(obj, backends) or (ours and marks.get(RUN_UID, ours) != ours):
        raise AlreadyExists(f"{title(ref, backends)} exists and is not this run's", hint=f"delete or rename {ref}")


def _make(backends: Backends, objects: Objects, candidate: int, what: str, owner: Mapping[str, Any]) -> Change:
    ref = made_ref(backends)
    spec = make_spec(backends, objects, candidate)
    if not spec.keys() & {"http", "tcp"}:
        raise Unsupported(
            f"Service {backends.service} has only TLS or UDP ports, for which no route can be made",
            hint="write a VirtualService with `tls` routes for it",
        )
    told = f"{title(ref, backends)}: {what}"
    return Change("create", ref, told, _body(ref, spec, owner), entry=_entry("route", ref, told))


def _seen_again(backends: Backends, objects: Objects) -> list[Change]:
    """The one that we made follows our rule, which follows the owner's."""
    made = find_made(backends, objects)
    ops = export_ops(backends, objects, made) if made else []
    if made is None or not ops:
        return []
    ref = made_ref(backends)
    return [Change("patch", ref, f"{title(ref, backends)}: seen where the subsets are", ops, guard_of(made))]


def _shift(
    backends: Backends, routing: Routing, split: Split, candidate: int, what: str, journal: Sequence[Entry]
) -> Change | None:
    """The patch of one VirtualService, if it needs one."""
    own = not traffic_only(backends)
    ops: list[Json] = []
    changed: list[Spot] = []
    for spot in routing.steered:
        if not settled(spot, candidate, own=own):
            changed.append(spot)
            ops.append({"op": "test", "path": spot.path, "value": spot.entries})
            ops.append({"op": "replace", "path": spot.path, "value": divide(spot.shares, candidate)})
    if not changed:
        return None
    told = f"{title(routing.ref, backends)}: {what}"
    entry = _route_entry(backends, routing, changed, split, told, journal)
    return Change("patch", routing.ref, told, ops, guard_of(routing.obj), entry)


def _route_entry(
    backends: Backends, routing: Routing, changed: Sequence[Spot], split: Split, told: str, journal: Sequence[Entry]
) -> Entry | None:
    """A journal line with the owner's values, unless an earlier one covers every route that changes."""
    uid = routing.obj["metadata"]["uid"]
    earlier = entry_for(journal, routing.obj, "route")
    if owned(routing.obj, backends):
        return None if earlier else _entry("route", routing.ref, told, uid)
    known = records(earlier)
    home = routing.ref.namespace
    covered = all(spot.touched or any(written(spot, r.was, split, home) for r in known) for spot in changed)
    if earlier is not None and covered:
        return None
    return _entry("route", routing.ref, told, uid, undo_of(routing, known, split))


def _with_weight_entry(changes: list[Change], candidate: int, journal: Sequence[Entry]) -> list[Change]:
    """Say once that the candidate is about to get traffic, on the first route whose line does not say so already."""
    if not candidate or any(entry.kind == "weight" for entry in journal):
        return changes
    for index, change in enumerate(changes):
        if change.entry is None and change.guard is not None and change.ref.kind.name == "VirtualService":
            line = _entry("weight", change.ref, change.what, change.guard.uid)
            return [*changes[:index], replace(change, entry=line), *changes[index + 1 :]]
    return changes
