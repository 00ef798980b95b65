"""The writes that split the service's traffic: subsets first, then every route that goes to it.

In a traffic-only plan a weight of 0 is the owner's own route, so nothing of ours is left in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout.adapters.routers.istio import matched, mirrored
from rollout.adapters.routers.istio.homing import unshift
from rollout.adapters.routers.istio.made import export_ops, find_made, is_missing, made_ref, make_spec
from rollout.adapters.routers.istio.routes import owned, routings, split_of
from rollout.adapters.routers.istio.rule import find_rule, rule_ref, wanted_spec
from rollout.adapters.routers.parts.spots import Routing, title, traffic_only
from rollout.adapters.routers.parts.weights import units
from rollout.adapters.routers.parts.writing import Shift, body, candidate_name, entry, with_weight_line
from rollout.errors import AlreadyExists, NotFound, Unsupported
from rollout.plan.base import RUN_UID, Json
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
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
    what = _told(backends, weight)
    split = split_of(backends, objects)
    shift = Shift(backends, split, candidate, what, journal, own=not traffic_only(backends))
    changes = [] if traffic_only(backends) else _subsets(backends, objects, found, owner)
    if missing:
        changes.append(_make(backends, objects, candidate, what, owner))
    for routing in found:
        also = [*mirrored.changes(routing, backends), *matched.changes(routing, split, backends)]
        change = shift.change(routing, made=owned(routing.obj, backends), also=also)
        if change is not None:
            changes.append(change)
    if not any(change.ref == made_ref(backends) for change in changes):
        changes += _seen_again(backends, objects)
    reached = candidate or len(backends.matches) or int(backends.mirror > 0)
    return with_weight_line(changes, reached, journal, (VIRTUAL_SERVICE,))


def _told(backends: Backends, weight: float) -> str:
    chosen = ", and all that match" if backends.matches else ""
    copies = f", and copies of {backends.mirror:g} %" if backends.mirror else ""
    return f"{weight:g} % to {candidate_name(backends)}{chosen}{copies}"


def _subsets(backends: Backends, objects: Objects, found: Sequence[Routing], owner: Mapping[str, Any]) -> list[Change]:
    ref = rule_ref(backends)
    rule = find_rule(backends, objects)
    spec = wanted_spec(backends, objects, found)
    if rule is None:
        what = f"{title(ref, backends)}: subsets for stable and {candidate_name(backends)}"
        line = entry("subsets", ref, what)
        return [Change("create", ref, what, body(ref, spec, owner), entry=line, groundwork=True)]
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
    return Change("create", ref, told, body(ref, spec, owner), entry=entry("route", ref, told))


def _seen_again(backends: Backends, objects: Objects) -> list[Change]:
    """The one that we made follows our rule, which follows the owner's."""
    made = find_made(backends, objects)
    ops = export_ops(backends, objects, made) if made else []
    if made is None or not ops:
        return []
    ref = made_ref(backends)
    return [Change("patch", ref, f"{title(ref, backends)}: seen where the subsets are", ops, guard_of(made))]
