"""Writes of routes, with their journal lines: split, and given back to their owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rollout.adapters.routers.parts.originals import Record, entry_for, originals, records, undo_of, written
from rollout.adapters.routers.parts.reading import settled
from rollout.adapters.routers.parts.shares import Split, divide
from rollout.adapters.routers.parts.spots import Routing, Spot, title
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.cluster import Guard, guard_of
from rollout.ports.router import Change


@dataclass(frozen=True, slots=True)
class Shift:
    """A weight on its way into the routes."""

    backends: Backends
    split: Split
    candidate: int
    """In units of 0.01 %."""
    what: str
    """For people: `10 % to web-canary`."""
    journal: Sequence[Entry]
    own: bool
    """Whether destinations of ours take the place of the owner's."""

    def change(self, routing: Routing, *, made: bool, also: Sequence[Json] = ()) -> Change | None:
        """The patch of one object, if it needs one; `made`: it is ours, `also`: operations that come after ours."""
        ops: list[Json] = []
        changed: list[Spot] = []
        for spot in routing.steered:
            if not settled(spot, self.candidate, own=self.own):
                changed.append(spot)
                ops.append({"op": "test", "path": spot.path, "value": spot.entries})
                value = divide(spot.shares, self.candidate, self.split)
                ops.append({"op": "replace", "path": spot.path, "value": value})
        if not changed and not also:
            return None
        ops += also
        told = f"{title(routing.ref, self.backends)}: {self.what}"
        line = self._line(routing, changed, told, made=made)
        return Change("patch", routing.ref, told, ops, guard_of(routing.obj), line)

    def _line(self, routing: Routing, changed: Sequence[Spot], told: str, *, made: bool) -> Entry | None:
        """A journal line with the owner's values, unless an earlier one covers every route that changes."""
        uid = routing.obj["metadata"]["uid"]
        earlier = entry_for(self.journal, routing)
        if made:
            return None if earlier else entry("route", routing.ref, told, uid)
        known = records(earlier)
        if earlier is not None and all(spot.touched or self._known(spot, known, routing) for spot in changed):
            return None
        return entry("route", routing.ref, told, uid, undo_of(routing, known, self.split))

    def _known(self, spot: Spot, known: Sequence[Record], routing: Routing) -> bool:
        return any(written(spot, record.was, self.split, routing.ref.namespace) for record in known)


def with_weight_line(
    changes: Sequence[Change], candidate: int, journal: Sequence[Entry], kinds: Collection[Kind]
) -> tuple[Change, ...]:
    """Say once that the candidate is about to get traffic, on the first route whose line does not say so already."""
    if not candidate or any(line.kind == "weight" for line in journal):
        return tuple(changes)
    for index, change in enumerate(changes):
        if change.entry is None and change.guard is not None and change.ref.kind in kinds:
            line = entry("weight", change.ref, change.what, change.guard.uid)
            return (*changes[:index], replace(change, entry=line), *changes[index + 1 :])
    return tuple(changes)


def given_back(routing: Routing, split: Split, journal: Sequence[Entry]) -> list[Json]:
    """The operations after which an object's routes are its owner's."""
    wanted = originals(routing, records(entry_for(journal, routing)), split)
    ops: list[Json] = []
    for spot in routing.steered:
        if spot.entries != wanted[spot.path]:
            ops.append({"op": "test", "path": spot.path, "value": spot.entries})
            ops.append({"op": "replace", "path": spot.path, "value": wanted[spot.path]})
    return ops


def home_patch(backends: Backends, its: Ref, obj: Json, ops: Sequence[Json]) -> Change:
    """The patch that takes a run's part out of an object of the owner's."""
    return Change("patch", its, f"{title(its, backends)}: as you wrote it", ops, guard_of(obj))


def removal(backends: Backends, its: Ref, obj: Json) -> Change:
    """The delete of an object of ours."""
    return Change("delete", its, f"{title(its, backends)}: removed", guard=Guard(obj["metadata"]["uid"]))


def entry(
    kind: Literal["subsets", "route", "weight"], ref: Ref, what: str, uid: str = "", undo: Json | None = None
) -> Entry:
    """A journal line about an object."""
    return Entry(kind, ref.kind.api_version, ref.kind.name, ref.namespace, ref.name, what, uid, undo or {})


def body(ref: Ref, spec: Json, owner: Mapping[str, Any]) -> Json:
    """An object to create."""
    meta = {**owner, "name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.name, "metadata": meta, "spec": spec}


def candidate_name(backends: Backends) -> str:
    """The candidate, in words."""
    side = backends.candidate
    return side.workload or side.subset or side.host
