"""Putting ended runs to rest: finalizer and lease gone, old runs discarded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from rollout.controller.reconcile import Reconciler
from rollout.controller.record import FINALIZER
from rollout.controller.view import RunView
from rollout.errors import NotFound
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import LEASE, PLAN_RUN, Ref, ref_of
from rollout.ports.cluster import guard_of
from rollout.ports.world import World


async def settle(reconciler: Reconciler, namespace: str, run: str) -> None:
    """Finish what an engine that was killed after its last turn left undone."""
    world, ref = reconciler.world, Ref(PLAN_RUN, namespace, run)
    found = await world.cluster.get(ref)
    if found is None or FINALIZER in found["metadata"].get("finalizers", ()):
        with suppress(NotFound):  # its plan was deleted: without its finalizer the run goes, too
            await reconciler.turn(ref)
    await drop_lease(world, namespace, run)
    reconciler.forget(ref)


async def drop_lease(world: World, namespace: str, run: str) -> None:
    """Delete the lease of a run, whoever holds it: the run is over, or its engine is dead."""
    for lease in await world.cluster.list(LEASE, namespace, {RUN_LABEL: run}):
        await discard(world, lease)


async def prune(world: World, ended: Sequence[RunView], keep: int) -> None:
    """Discard the oldest of these runs (given newest first)."""
    for old in ended[keep:]:
        found = await world.cluster.get(Ref(PLAN_RUN, old.namespace, old.name))
        if found is not None:
            await discard(world, found)


async def discard(world: World, found: Json) -> None:
    """Delete exactly this object."""
    with suppress(NotFound):
        await world.cluster.delete(ref_of(found), guard_of(found))
