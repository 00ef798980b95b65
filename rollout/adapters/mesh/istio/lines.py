"""How one object shall be, the write that makes it so, its line in the journal, and the way back.

The `undo` of a line is `{by, created: true, owner}` for an object that we made: it is undone by deleting it, as long as
it carries that run's UID.  For one that was there it is `{by, seen, fields: [{path, before, after}], made}`: a field
without `before` was not there, one without `after` was taken away; `made` are the maps that had to be made; `seen` is
the object's generation and version before the write.  `by` tells the instruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout.adapters.mesh.istio.fields import (
    GONE,
    Field,
    at,
    changing,
    covers,
    differing,
    gathered,
    missing,
    parsed,
    pointer,
    same,
)
from rollout.plan.base import RUN_UID, Json
from rollout.plan.kinds import POD, Ref
from rollout.plan.run import Entry
from rollout.ports.cluster import guard_of
from rollout.ports.router import Change

_EXACT: Final = "istio.io"
"""API groups that end so have no defaults: what is more than we wrote, somebody wrote."""


@dataclass(frozen=True, slots=True)
class Aim:
    """How an object shall be."""

    ref: Ref
    what: str
    """What is done to it, for people."""
    found: Json | None
    """As it is; None when there is none, which is made then."""
    wanted: Json
    """The fields that are meant, nested; `GONE` marks what shall not be there."""
    beside: tuple[Json, ...] = ()
    """Operations that go with the patch and leave nothing to undo."""

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.ref.kind}/{self.ref.name}: {self.what}"

    @property
    def fields(self) -> tuple[Field, ...]:
        """What is not as it shall be; nothing where there is no object."""
        return () if self.found is None else tuple(differing(self.found, self.wanted))

    @property
    def met(self) -> bool:
        """Whether it is as it shall be."""
        return self.found is not None and not self.fields


def contested(aim: Aim, by: str, journal: Sequence[Entry]) -> bool:
    """Whether it has been as wanted, and somebody has put back what was before.

    A line whose write did not arrive (killed in between) tells nothing: then the object is still the one that was seen.
    A pod has no owner who would write to it.
    """
    line = _line_of(aim, by, journal)
    if line is None or aim.found is None or not aim.fields or aim.ref.kind == POD:
        return False
    if line.undo.get("created"):
        return _ours(line, aim.found)
    known = {field.path for field in _fields(line)}
    again = [it.path for it in aim.fields if it.path in known]
    before, now = line.undo.get("seen") or {}, _seen(aim.found)
    # a status that changes makes a new version, but no new generation
    key = "generation" if now["generation"] and all(path[0] == "spec" for path in again) else "version"
    return bool(again) and now[key] != before.get(key)


def write(aim: Aim, by: str, journal: Sequence[Entry], owner: Mapping[str, Any]) -> Change | None:
    """The write; None when it is as wanted."""
    if aim.found is None:
        undo = {"by": by, "created": True, "owner": _uid_in(owner)}
        return Change("create", aim.ref, aim.told, _body(aim, owner), entry=_entry(aim, "", undo))
    fields = aim.fields
    if not fields:
        return None
    ops = [*changing(aim.found, ((it.path, it.after) for it in fields)), *aim.beside]
    line = _line(aim, aim.found, fields, by, journal)
    return Change("patch", aim.ref, aim.told, ops, guard_of(aim.found), line)


def left(entry: Entry, found: Json | None) -> bool:
    """Whether anything that a line tells of is still there. What its owner wrote since then is his."""
    if found is None:
        return False
    if entry.undo.get("created"):
        return _ours(entry, found)
    return found["metadata"]["uid"] == entry.uid and any(True for _ in _still(entry, found))


def undo(entry: Entry, ref: Ref, found: Json, beside: Sequence[Json] = ()) -> Change | None:
    """The write that takes away what is left of it."""
    what = f"{ref.kind}/{ref.name}: as it was before"
    if not left(entry, found) or "deletionTimestamp" in found["metadata"]:
        return None
    if entry.undo.get("created"):
        return Change("delete", ref, f"{ref.kind}/{ref.name}: deleted", guard=guard_of(found))
    made = tuple(parsed(it) for it in entry.undo.get("made", ()))
    ops = changing(found, ((it.path, it.before) for it in _still(entry, found)), made)
    return Change("patch", ref, what, [*ops, *beside], guard_of(found))


def wrote(entry: Entry) -> Json:
    """See `ports.mesh.Mesh.wrote`."""
    return gathered(_fields(entry))


def owner_of(obj: Json) -> str:
    """The UID of the run that made an object; empty for one of somebody else."""
    return str((obj["metadata"].get("annotations") or {}).get(RUN_UID, ""))


def _still(entry: Entry, found: Json) -> Iterator[Field]:
    """The fields that still hold what we wrote."""
    exact = entry.api_version.partition("/")[0].endswith(_EXACT)
    for field in _fields(entry):
        now = at(found, field.path)
        if same(now, field.after) or (not exact and covers(now, field.after)):
            yield field


def _fields(entry: Entry) -> Iterator[Field]:
    for it in entry.undo.get("fields", ()):
        yield Field(parsed(it["path"]), it.get("before", GONE), it.get("after", GONE))


def _line_of(aim: Aim, by: str, journal: Sequence[Entry]) -> Entry | None:
    """The newest line of the same instruction about the same object; a namesake's does not count."""
    uid = aim.found["metadata"]["uid"] if aim.found is not None else ""
    for entry in reversed(journal):
        same_object = (entry.object_kind, entry.namespace, entry.name) == (
            aim.ref.kind.name,
            aim.ref.namespace,
            aim.ref.name,
        )
        if entry.kind == "mesh" and same_object and entry.undo.get("by") == by and entry.uid in ("", uid):
            return entry
    return None


def _line(aim: Aim, found: Json, fields: Sequence[Field], by: str, journal: Sequence[Entry]) -> Entry | None:
    """What must be known to go back. What an earlier line of the instruction tells of other fields goes with it."""
    earlier, made = _line_of(aim, by, journal), missing(found, fields)
    kept: list[Field] = []
    if earlier is not None and earlier.undo.get("created"):
        if _ours(earlier, found):
            return None  # it goes as a whole
        earlier = None
    if earlier is not None:
        kept = [it for it in _fields(earlier) if it.path not in {field.path for field in fields}]
        made = tuple(sorted({*made, *(parsed(it) for it in earlier.undo.get("made", ()))}))
    undo: Json = {
        "by": by,
        "seen": _seen(found),
        "fields": [_stored(it) for it in (*kept, *fields)],
        "made": [pointer(it) for it in made],
    }
    return _entry(aim, found["metadata"]["uid"], undo)


def _stored(field: Field) -> Json:
    values = {"before": field.before, "after": field.after}
    return {"path": pointer(field.path), **{key: it for key, it in values.items() if it is not GONE}}


def _entry(aim: Aim, uid: str, undo: Json) -> Entry:
    kind = aim.ref.kind
    return Entry("mesh", kind.api_version, kind.name, aim.ref.namespace, aim.ref.name, aim.told, uid, undo)


def _body(aim: Aim, owner: Mapping[str, Any]) -> Json:
    """The object to make. Labels that are wanted count before those of the owner."""
    ref, meta = aim.ref, aim.wanted.get("metadata") or {}
    labels = {**(owner.get("labels") or {}), **(meta.get("labels") or {})}
    notes = {**(meta.get("annotations") or {}), **(owner.get("annotations") or {})}
    named = {"name": ref.name, "namespace": ref.namespace, "labels": labels, "annotations": notes}
    rest = {key: it for key, it in aim.wanted.items() if key != "metadata"}
    return {"apiVersion": ref.kind.api_version, "kind": ref.kind.name, "metadata": {**owner, **named}, **rest}


def _seen(found: Json) -> Json:
    meta = found["metadata"]
    return {"generation": meta.get("generation", 0), "version": meta.get("resourceVersion", "")}


def _ours(entry: Entry, found: Json) -> bool:
    return bool(owner_of(found)) and owner_of(found) == entry.undo.get("owner")


def _uid_in(owner: Mapping[str, Any]) -> str:
    return str((owner.get("annotations") or {}).get(RUN_UID, ""))
