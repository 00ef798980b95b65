"""The way home: routes are given back to their owner, rebased on what he wrote meanwhile; then our objects go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollout.adapters.routers.istio import mirrored
from rollout.adapters.routers.istio.made import find_made, made_ref
from rollout.adapters.routers.istio.matched import present
from rollout.adapters.routers.istio.matched import removal as removal_of_copies
from rollout.adapters.routers.istio.routes import names_ours, own_subsets, owned, routing, routings, split_of, strays
from rollout.adapters.routers.istio.rule import find_rule, rule_ref
from rollout.adapters.routers.istio.shares import OwnSubsets
from rollout.adapters.routers.parts.spots import ref, traffic_only
from rollout.adapters.routers.parts.writing import given_back, home_patch, removal
from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.router import Change, Objects


def restore(backends: Backends, objects: Objects, journal: Sequence[Entry]) -> tuple[Change, ...]:
    """See `ports.router.Router.restore`. Our subsets are taken out of every VirtualService, in scope or not."""
    if traffic_only(backends):
        return unshift(backends, objects, journal)
    changes = [
        home_patch(backends, ref(VIRTUAL_SERVICE, obj), obj, _own_ops(backends, objects, obj, journal))
        for obj in objects.get(VIRTUAL_SERVICE, ())
        if not owned(obj, backends) and names_ours(obj, backends)
    ]
    return (*changes, *_unmake(backends, objects))


def unshift(backends: Backends, objects: Objects, journal: Sequence[Entry]) -> tuple[Change, ...]:
    """For traffic-only plans: all traffic on stable, which is what the owner's own route says."""
    split = split_of(backends, objects)
    changes: list[Change] = []
    for found in routings(backends, objects):
        ops = given_back(found, split, journal)
        if ops:
            changes.append(home_patch(backends, found.ref, found.obj, ops))
    return tuple(changes)


def sweep(backends: Backends, objects: Objects) -> tuple[Change, ...]:
    """See `ports.router.Router.sweep`. The subsets stay as long as any VirtualService names one of them."""
    made = _unmake(backends, objects)
    rule = find_rule(backends, objects)
    if rule is None or not owned(rule, backends):
        return made
    if any(names_ours(obj, backends) for obj in objects.get(VIRTUAL_SERVICE, ())):
        return made
    return (*made, removal(backends, rule_ref(backends), rule))


def _unmake(backends: Backends, objects: Objects) -> tuple[Change, ...]:
    made = find_made(backends, objects)
    return () if made is None else (removal(backends, made_ref(backends), made),)


def _own_ops(backends: Backends, objects: Objects, obj: Json, journal: Sequence[Entry]) -> list[Json]:
    """Take our subsets out, wherever they are."""
    split = _with_journal(own_subsets(backends, objects), journal)
    found = routing(obj, split)
    ops = given_back(found, split, journal)
    handled = (
        *(f"{spot.path}/" for spot in found.spots),
        *(f"/spec/http/{index}/" for index in present(obj, backends)),
        *(f"/spec/http/{index}/mirrors/" for index in mirrored.present(obj, backends)),
    )
    for path, node in strays(obj, backends):
        if not (handled and path.startswith(handled)):
            ops += _unname(path, node, split)
    return [*ops, *mirrored.removal(obj, backends), *removal_of_copies(obj, backends)]


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


def _unname(path: str, node: Json, split: OwnSubsets) -> list[Json]:
    """A destination outside route lists (a mirror that was copied from ours): back to the owner's subset."""
    name = split.names.read(node["subset"])
    theirs = split.owners(name[1]) if name else ""
    where = f"{path}/subset"
    test = {"op": "test", "path": where, "value": node["subset"]}
    return [test, {"op": "replace", "path": where, "value": theirs} if theirs else {"op": "remove", "path": where}]
