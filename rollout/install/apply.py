"""Brings documents into a cluster: created, or brought up to date where they differ. Doing it twice changes nothing.

Only what a document says is written: other labels and annotations stay, and what the API server fills in.  A
namespace that somebody else made is left as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from rollout.errors import AlreadyExists, Conflict, NotFound, Unavailable
from rollout.install.options import BY, INSTALLED
from rollout.plan.base import Json
from rollout.plan.kinds import CRD, KINDS, NAMESPACE, Kind, Ref, ref_of
from rollout.ports.cluster import Cluster, guard_of
from rollout.ports.world import World

Outcome = Literal["created", "updated", "unchanged", "left as it is"]
_SERVED: Final = 10
"""Seconds that the API server gets to serve a new kind."""
_TRIES: Final = 5
"""So often somebody else may write at the same moment."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done with one document, or would be."""

    ref: Ref
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.ref} {self.outcome}"


async def apply(world: World, wanted: Iterable[Json], *, dry_run: bool = False) -> AsyncIterator[Applied]:
    """Apply each document in turn. A kind is served before the next document is looked at.

    Raises:
        Unavailable: the API server does not serve a new kind in time.
    """
    for obj in wanted:
        yield Applied(ref_of(obj), await _apply(world.cluster, obj, dry_run=dry_run))
        if obj["kind"] == CRD.name and not dry_run:
            await _served(world, obj)


async def _apply(cluster: Cluster, wanted: Json, *, dry_run: bool) -> Outcome:
    for _ in range(_TRIES):
        try:
            return await _once(cluster, wanted, dry_run=dry_run)
        except (Conflict, AlreadyExists) as error:
            last = error
    raise last


async def _once(cluster: Cluster, wanted: Json, *, dry_run: bool) -> Outcome:
    ref = ref_of(wanted)
    found = await cluster.get(ref)
    if found is None:
        await _create(cluster, wanted, dry_run=dry_run)
        return "created"
    if ref.kind == NAMESPACE and (found["metadata"].get("labels") or {}).get(INSTALLED) != BY:
        return "left as it is"
    if found.get("roleRef") != wanted.get("roleRef"):
        # whom a binding binds to cannot be changed
        if not dry_run:
            await cluster.delete(ref, guard_of(found))
            await cluster.create(wanted)
        return "updated"
    ops = _ops(wanted, found)
    rehearsed = await cluster.patch(ref, ops, guard_of(found), dry_run=True)
    if all(_said(rehearsed, op["path"]) == _said(found, op["path"]) for op in ops):
        return "unchanged"
    if not dry_run:
        await cluster.patch(ref, ops, guard_of(found))
    return "updated"


async def _create(cluster: Cluster, wanted: Json, *, dry_run: bool) -> None:
    try:
        await cluster.create(wanted, dry_run=dry_run)
    except NotFound:
        if not dry_run:
            raise
        # its namespace would be made before it


def _ops(wanted: Json, found: Json) -> Sequence[Json]:
    """What the document says, over what is there. `add` on a member that is there replaces it."""
    body = [(f"/{key}", value) for key, value in wanted.items() if key not in ("apiVersion", "kind", "metadata")]
    mine, there = wanted["metadata"], found["metadata"]
    kept = [key for key in ("labels", "annotations") if mine.get(key)]
    body += [(f"/metadata/{key}", {**(there.get(key) or {}), **mine[key]}) for key in kept]
    return [{"op": "add", "path": path, "value": value} for path, value in body]


def _said(obj: Json, path: str) -> Any:
    value: Any = obj
    for key in path.split("/")[1:]:
        value = value.get(key)
    return value


def _kind(crd: Json) -> Kind:
    spec = crd["spec"]
    return KINDS[f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["kind"]]


async def _served(world: World, crd: Json) -> None:
    kind, until = _kind(crd), world.clock.now() + _SERVED
    while not await world.cluster.serves(kind):
        if world.clock.now() > until:
            raise Unavailable(f"{kind} is installed, and not served yet", hint="try again in a moment")
        await world.clock.sleep(0.2)
