"""One plan, again and again: drive its run, or see whether one begins.

The plan, its runs and its target are read from what the watches told, so that a plan at rest costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.cares import Care, cares
from rollout.controller.lease import alive
from rollout.controller.reconcile import Reconciler
from rollout.controller.record import FINALIZER, Unreadable
from rollout.controller.resting import NEVER, Teller
from rollout.controller.runs import ended, runs_of
from rollout.controller.settling import discard, settle
from rollout.errors import NotFound
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import LEASE, Kind, Ref, ref_of
from rollout.ports.world import World

AT_ONCE: Final = 8
"""So many turns of one run follow each other without a pause, when each says that the next is due at once."""


@dataclass(slots=True)
class Plans:
    """Looks after plans; `world` reads from memory."""

    world: World
    driven: set[Ref] = field(default_factory=set)
    """The plans that had a run under way when they were looked at last."""
    reconciler: Reconciler = field(init=False)
    cares: Mapping[Kind, Care] = field(init=False)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.world)
        self.cares = cares(self.world)

    async def turn(self, plan: Ref) -> float:
        """Look at one plan, and do what is due; in how many seconds it should be looked at again.

        Raises:
            RolloutError: the world was not ready, or refuses.
        """
        runs = await runs_of(self.world, plan)
        try:
            return await self._turn(plan, runs)
        except Unreadable as error:
            return await Teller(self.world).unreadable(plan, error, runs)

    async def _turn(self, plan: Ref, runs: Sequence[Json]) -> float:
        active = next((run for run in reversed(runs) if not ended(run)), None)
        if active is not None:
            self.driven.add(plan)
            return 0.0 if await self._renewed(plan, active, runs) else await self._drive(ref_of(active))
        self.driven.discard(plan)
        for run in runs:
            await self._put_to_rest(run)
        care, found = self.cares[plan.kind], await self.world.cluster.get(plan)
        if found is None or "deletionTimestamp" in found["metadata"]:
            await care.gone(plan)
            return NEVER
        return await care.turn(found, runs)

    async def _renewed(self, plan: Ref, run: Json, runs: Sequence[Json]) -> bool:
        found = await self.world.cluster.get(plan)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return False
        if run["spec"]["planGeneration"] >= found["metadata"].get("generation", 1):
            return False
        if await self._driven_elsewhere(ref_of(run)) > 0:
            return False
        return await self.cares[plan.kind].renewed(found, run, runs)

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
