"""Do changes: the journal first, then the write, then nothing; the next observation is the read-back.

A write that fails leaves its line in the journal: undoing what was never done is harmless, not undoing what was done
is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import assert_never

from rollout.errors import AlreadyExists, NotFound, Terminal
from rollout.plan.base import RUN_UID, Json
from rollout.plan.run import Entry, State
from rollout.ports.cluster import Cluster, Guard
from rollout.ports.router import Change

Ensure = Callable[[State], Awaitable[None]]
"""Sees to it that the stored run has this state; a write is guarded by the run's resourceVersion."""


async def perform(cluster: Cluster, changes: Sequence[Change], state: State, ensure: Ensure) -> State:
    """Do the changes in order and return the state with their journal lines; stops at the first failure."""
    for change in changes:
        if change.entry is not None:
            state = replace(state, journal=enter(state.journal, change.entry))
        await ensure(state)
        await _do(cluster, change)
    return state


def enter(journal: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
    """The journal with a line; a fresher line for the same thing takes the place of the old one."""
    same = [i for i, e in enumerate(journal) if e.key == entry.key]
    if not same:
        return (*journal, entry)
    return (*journal[: same[0]], entry, *journal[same[0] + 1 :])


async def _do(cluster: Cluster, change: Change) -> None:
    match change.op:
        case "create":
            await _create(cluster, change)
        case "patch":
            await cluster.patch(change.ref, _ops(change), _guard(change))
        case "delete":
            await _delete(cluster, change)
        case _:
            assert_never(change.op)


def _ops(change: Change) -> Sequence[Json]:
    if isinstance(change.body, dict):
        raise Terminal(f"{change.what}: a patch without operations is a fault of ours")
    return list(change.body)


def _guard(change: Change) -> Guard:
    if change.guard is None:
        raise Terminal(f"{change.what}: a {change.op} without a guard is a fault of ours")
    return change.guard


async def _create(cluster: Cluster, change: Change) -> None:
    """Create; an object that is there already is fine when it is this run's (our answer was lost)."""
    body = change.body
    if not isinstance(body, dict):
        raise Terminal(f"{change.what}: a create without an object is a fault of ours")
    try:
        await cluster.create(body)
    except AlreadyExists:
        found = await cluster.get(change.ref)
        mine = body["metadata"]["annotations"][RUN_UID]
        if found is not None and (found["metadata"].get("annotations") or {}).get(RUN_UID) != mine:
            raise


async def _delete(cluster: Cluster, change: Change) -> None:
    try:
        await cluster.delete(change.ref, _guard(change), foreground=change.foreground)
    except NotFound:
        return
