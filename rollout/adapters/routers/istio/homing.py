"""The way home: routes are given back to their owner, rebased on what he wrote meanwhile; then our objects go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollout.adapters.routers.istio.made import find_made
from rollout.adapters.routers.istio.originals import entry_for, originals, records
from rollout.adapters.routers.istio.routes import (
    Routing,
    own_subsets,
    owned,
    ref,
    routing,
    split_of,
    strays,
    title,
    traffic_only,
)
from rollout.adapters.routers.istio.rule import find_rule, rule_ref
from rollout.adapters.routers.istio.shares import OwnSubsets
from rollout.adapters.routers.istio.subsets import Names
from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.cluster import Guard, guard_of
from rollout.ports.router import Change, Objects


def restore(backends: Backends, objects: Objects, journal: Sequence[Entry]) -> tuple[Change, ...]:
    """See `ports.router.Router.restore`. Looks at every VirtualService, in scope or not."""
    changes: list[Change] = []
    for obj in objects.get(VIRTUAL_SERVICE, ()):
        if owned(obj, backends):
            continue
        ops = (
            _user_ops(backends, objects, obj, journal)
            if traffic_only(backends)
            else _own_ops(backends, objects, obj, journal)
        )
        if ops:
            its = ref(VIRTUAL_SERVICE, obj)
            changes.append(Change("patch", its, f"{title(its, backends)}: as you wrote it", ops, guard_of(obj)))
    return (*changes, *_unmake(backends, objects))


def sweep(backends: Backends, objects: Objects) -> tuple[Change, ...]:
    """See `ports.router.Router.sweep`. The subsets stay as long as any VirtualService names one of them."""
    made = _unmake(backends, objects)
    rule = find_rule(backends, objects)
    if rule is None or not owned(rule, backends):
        return made
    names = Names(backends.run)
    if any(True for obj in objects.get(VIRTUAL_SERVICE, ()) for _ in strays(obj["spec"], names)):
        return made
    its = rule_ref(backends)
    gone = Change("delete", its, f"{title(its, backends)}: removed", guard=Guard(rule["metadata"]["uid"]))
    return (*made, gone)


def _unmake(backends: Backends, objects: Objects) -> tuple[Change, ...]:
    made = find_made(backends, objects)
    if made is None:
        return ()
    its = ref(VIRTUAL_SERVICE, made)
    return (Change("delete", its, f"{title(its, backends)}: removed", guard=Guard(made["metadata"]["uid"])),)


def _user_ops(backends: Backends, objects: Objects, obj: Json, journal: Sequence[Entry]) -> list[Json]:
    """For traffic-only plans: only what the journal knows of."""
    entry = entry_for(journal, obj, "route")
    if entry is None:
        return []
    split = split_of(backends, objects)
    found = routing(obj, split)
    return _replacing(found, originals(found, records(entry), split))


def _own_ops(backends: Backends, objects: Objects, obj: Json, journal: Sequence[Entry]) -> list[Json]:
    """Take our subsets out, wherever they are."""
    names = Names(backends.run)
    if not any(True for _ in strays(obj["spec"], names)):
        return []
    split = _with_journal(own_subsets(backends, objects), journal)
    found = routing(obj, split)
    ops = _replacing(found, originals(found, records(entry_for(journal, obj, "route")), split))
    handled = tuple(f"{spot.path}/" for spot in found.spots)
    for path, node in strays(obj["spec"], names, "/spec"):
        if not (handled and path.startswith(handled)):
            ops += _unname(path, node, split)
    return ops


def _with_journal(split: OwnSubsets, journal: Sequence[Entry]) -> OwnSubsets:
    """The owner's subset names as they were journalled, in case his rule is gone."""
    known = dict(split.known)
    for entry in journal:
        for route in entry.undo.get("routes", ()):
            for ours, theirs in route["stands"].items():
                name = split.names.read(ours)
                if name is not None:
                    known.setdefault(name[1], theirs)
    return replace(split, known=known)


def _replacing(found: Routing, wanted: dict[str, list[Json]]) -> list[Json]:
    ops: list[Json] = []
    for spot in found.steered:
        if spot.entries != wanted[spot.path]:
            ops.append({"op": "test", "path": spot.path, "value": spot.entries})
            ops.append({"op": "replace", "path": spot.path, "value": wanted[spot.path]})
    return ops


def _unname(path: str, node: Json, split: OwnSubsets) -> list[Json]:
    """A destination outside route lists (a mirror that was copied from ours): back to the owner's subset."""
    name = split.names.read(node["subset"])
    theirs = split.owners(name[1]) if name else ""
    where = f"{path}/subset"
    test = {"op": "test", "path": where, "value": node["subset"]}
    return [test, {"op": "replace", "path": where, "value": theirs} if theirs else {"op": "remove", "path": where}]
