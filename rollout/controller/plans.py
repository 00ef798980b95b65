"""One plan, again and again: drive its run, or see whether one begins.

The plan, its runs and its target are read from what the watches told, so that a plan at rest costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.beginning import NEVER, Beginning
from rollout.controller.holds import end_holds
from rollout.controller.lease import alive
from rollout.controller.reconcile import Reconciler
from rollout.controller.record import FINALIZER, Unreadable
from rollout.controller.runs import ended, runs_of
from rollout.controller.settling import discard, settle
from rollout.errors import NotFound
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import CANARY_PLAN, LEASE, Ref, ref_of
from rollout.ports.world import World

AT_ONCE: Final = 8
"""So many turns of one run follow each other without a pause, when each says that the next is due at once."""


@dataclass(slots=True)
class Plans:
    """Looks after plans; `world` reads from memory."""

    world: World
    driven: set[tuple[str, str]] = field(default_factory=set)
    """Namespace and name of the plans that had a run under way when they were looked at last."""
    reconciler: Reconciler = field(init=False)
    beginning: Beginning = field(init=False)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.world)
        self.beginning = Beginning(self.world)

    async def turn(self, namespace: str, name: str) -> float:
        """Look at one plan, and do what is due; in how many seconds it should be looked at again.

        Raises:
            RolloutError: the world was not ready, or refuses.
        """
        runs = await runs_of(self.world, namespace, name)
        try:
            return await self._turn(namespace, name, runs)
        except Unreadable as error:
            return await self.beginning.tell_unreadable(namespace, name, error, runs)

    async def _turn(self, namespace: str, name: str, runs: Sequence[Json]) -> float:
        active = next((run for run in reversed(runs) if not ended(run)), None)
        if active is not None:
            self.driven.add((namespace, name))
            return await self._drive(ref_of(active))
        self.driven.discard((namespace, name))
        for run in runs:
            await self._put_to_rest(run)
        plan = await self.world.cluster.get(Ref(CANARY_PLAN, namespace, name))
        if plan is None or "deletionTimestamp" in plan["metadata"]:
            await end_holds(self.world, namespace, name, "is gone")
            return NEVER
        return await self.beginning.turn(plan, runs)

    async def _drive(self, run: Ref) -> float:
        """Take turns, unless a foreground engine does."""
        left = await self._driven_elsewhere(run)
        if left > 0:
            return left
        for _ in range(AT_ONCE):
            try:
                turn = await self.reconciler.turn(run)
            except NotFound:
                self.reconciler.forget(run)
                return 0.0
            if turn.view.state.phase.ended:
                return 0.0
            if turn.wake > 0:
                return turn.wake
        return 0.0

    async def _driven_elsewhere(self, run: Ref) -> float:
        """Seconds until a foreground engine's lease may be taken; 0 when nobody holds it. A dead one's is deleted."""
        now = self.world.clock.now()
        for lease in await self.world.cluster.list(LEASE, run.namespace, {RUN_LABEL: run.name}):
            if alive(lease, now):
                self.reconciler.forget(run)
                return float(lease["spec"].get("leaseDurationSeconds", 15)) + 1.0
            await discard(self.world, lease)
        return 0.0

    async def _put_to_rest(self, run: Json) -> None:
        meta = run["metadata"]
        leases = await self.world.cluster.list(LEASE, meta["namespace"], {RUN_LABEL: meta["name"]})
        if FINALIZER in meta.get("finalizers", ()) or leases:
            await settle(self.reconciler, meta["namespace"], meta["name"])

    async def flush(self) -> None:
        """Before an orderly stop: write what is only in memory, so that the next leader goes on where we were."""
        for record in list(self.reconciler.records.values()):
            await record.flush()
