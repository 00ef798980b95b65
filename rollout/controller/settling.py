"""Putting ended runs to rest: finalizer and lease gone, old runs discarded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from rollout.controller.reconcile import Reconciler
from rollout.errors import NotFound
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import LEASE, PLAN_RUN, Ref, ref_of
from rollout.ports.cluster import guard_of
from rollout.ports.world import World


async def settle(reconciler: Reconciler, namespace: str, run: str) -> None:
    """Finish what an engine that was killed after its last turn left undone."""
    ref = Ref(PLAN_RUN, namespace, run)
    with suppress(NotFound):  # its plan was deleted: without its finalizer the run goes, too
        await reconciler.turn(ref)
    for lease in await reconciler.world.cluster.list(LEASE, namespace, {RUN_LABEL: run}):
        await discard(reconciler.world, lease)  # whoever holds it: the run is over
    reconciler.forget(ref)


async def prune(world: World, runs: Sequence[Json], keep: int) -> None:
    """Discard the oldest of these ended runs (given newest first)."""
    for old in runs[keep:]:
        await discard(world, old)


async def discard(world: World, found: Json) -> None:
    """Delete exactly this object."""
    with suppress(NotFound):
        await world.cluster.delete(ref_of(found), guard_of(found))
