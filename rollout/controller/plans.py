"""One plan, again and again: drive its run, or see whether one begins.

The plan, its runs and its target are read from what the watches told, so that a plan at rest costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.cares import Care, cares
from rollout.controller.lease import Vigil
from rollout.controller.reconcile import Reconciler
from rollout.controller.record import FINALIZER, Unreadable
from rollout.controller.resting import NEVER, Teller
from rollout.controller.runs import runs_of, under_way
from rollout.controller.selection import Selection
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
    wanted: Mapping[str, str] = field(default_factory=dict)
    """Labels that a plan must have to be ours."""
    driven: set[Ref] = field(default_factory=set)
    """The plans that had a run under way when they were looked at last."""
    reconciler: Reconciler = field(init=False)
    cares: Mapping[Kind, Care] = field(init=False)
    selection: Selection = field(init=False)
    vigil: Vigil = field(init=False)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.world)
        self.cares = cares(self.world)
        self.vigil = Vigil(self.world.clock)
        self.selection = Selection(self.world, self.wanted)

    async def turn(self, plan: Ref) -> float:
        """Look at one plan, and do what is due; in how many seconds it should be looked at again.

        Raises:
            RolloutError: the world was not ready, or refuses.
        """
        runs, found = await runs_of(self.world, plan), await self.world.cluster.get(plan)
        try:
            await self.selection.noticed(found, runs, self.reconciler)
            if self.selection.ours(plan, found, runs):
                return await self._turn(plan, runs)
            self.driven.discard(plan)
            return NEVER
        except Unreadable as error:
            return await Teller(self.world).unreadable(plan, error, runs)

    async def _turn(self, plan: Ref, runs: Sequence[Json]) -> float:
        active = under_way(runs)
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
        wake = await care.turn(found, runs)
        begun = under_way(await runs_of(self.world, plan)) if wake <= 0 else None
        if begun is None:
            return wake
        self.driven.add(plan)
        return await self._drive(ref_of(begun))

    async def _renewed(self, plan: Ref, run: Json, runs: Sequence[Json]) -> bool:
        found = await self.world.cluster.get(plan)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return False
        made_anew = run["spec"]["planUid"] != found["metadata"]["uid"]  # its run goes home: the plan is gone for it
        if made_anew or run["spec"]["planGeneration"] >= found["metadata"].get("generation", 1):
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
        leases = await self.world.cluster.list(LEASE, run.namespace, {RUN_LABEL: run.name})
        if not leases:
            self.vigil.forget(Ref(LEASE, run.namespace, run.name))
        for lease in leases:
            if (left := self.vigil.left(lease)) > 0:
                self.reconciler.forget(run)
                return left
            await discard(self.world, lease)  # not if it was renewed at this moment
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
