"""Which plans are a controller's own: those whose labels fit its selector.

A run belongs to the controllers that its plan's labels chose when it began, and they bring it to its end: what happens
to the labels meanwhile, or to the plan, must not leave traffic where nobody looks after it.  Everything else follows
the labels as they are now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from rollout.controller.reconcile import Reconciler
from rollout.controller.record import load
from rollout.controller.resting import Teller
from rollout.controller.runs import under_way
from rollout.decide.reason import Reason
from rollout.decide.turn import note
from rollout.errors import Conflict
from rollout.plan.base import LABELS_AT_START, Json
from rollout.plan.kinds import Ref, ref_of
from rollout.ports.world import World


@dataclass(slots=True)
class Selection:
    """The plans of one controller."""

    world: World
    wanted: Mapping[str, str] = field(default_factory=dict)
    """Labels that a plan must have; none: all plans are ours."""
    _ours: dict[Ref, bool] = field(default_factory=dict)
    """What was found of a plan when its labels were looked at last."""

    def ours(self, plan: Ref, found: Json | None, runs: Sequence[Json]) -> bool:
        """Whether to act on a plan, which may be gone; `runs` are its runs, the newest first."""
        if not self.wanted:
            return True
        active = under_way(runs)
        if active is not None and (labels := _labels_at_start(active)) is not None:
            return self._fits(labels)
        if found is not None:
            return self._fits(found["metadata"].get("labels") or {})
        # what is left of a plan that nobody remembers is anybody's: to clear up twice does no harm
        known = self._ours.get(plan)
        labels = _labels_at_start(runs[0]) if runs and known is None else None
        return self._fits(labels) if labels is not None else known is not False

    async def noticed(self, found: Json | None, runs: Sequence[Json], reconciler: Reconciler) -> None:
        """Say it when a plan of ours has other labels by now: in its run, or when none is under way, in its status."""
        if found is None or not self.wanted:
            return
        plan = ref_of(found)
        fits = self._fits(found["metadata"].get("labels") or {})
        active = under_way(runs)
        if fits or (active is not None and not self.ours(plan, found, runs)):
            self._ours[plan] = fits
            return
        if active is not None:
            await self._say_in_run(ref_of(active), reconciler)
            self._ours[plan] = True  # until its run is home
        elif self._ours.get(plan):
            self._ours[plan] = False  # said once: by now it may be another's, who says otherwise
            await self._say_in_plan(found, runs)

    async def _say_in_run(self, run: Ref, reconciler: Reconciler) -> None:
        text = f"the plan does not have {self._spelled} any more: this run is brought to its end all the same; the next"
        text += " one begins if a controller looks after the plan as it is labelled then"
        record = await load(self.world.cluster, self.world.clock, run, reconciler.records.get(run))
        if all(it.reason != Reason.NOT_SELECTED for it in record.state.notes):
            await record.save(note(record.state, self.world.clock.now(), Reason.NOT_SELECTED, text, warning=True))
            reconciler.records[run] = record

    async def _say_in_plan(self, found: Json, runs: Sequence[Json]) -> None:
        text = f"the plan does not have {self._spelled}, so its controller looks after it no more; what is held for it"
        text += " stays held until a controller does: give it labels that one selects"
        try:
            await Teller(self.world).tell(found, "Pending", Reason.NOT_SELECTED, text, runs)
        except Conflict:
            return  # somebody else has it already

    @property
    def _spelled(self) -> str:
        names = ", ".join(f"{key}={value}" for key, value in sorted(self.wanted.items()))
        return f"the label{'s' if len(self.wanted) > 1 else ''} {names}"

    def _fits(self, labels: Mapping[str, str]) -> bool:
        return self.wanted.items() <= labels.items()


def _labels_at_start(run: Json) -> Mapping[str, str] | None:
    """None for a run of an earlier version, and for one whose annotation was taken off or spoilt."""
    try:
        labels = orjson.loads((run["metadata"].get("annotations") or {}).get(LABELS_AT_START) or "null")
    except orjson.JSONDecodeError:
        return None
    return labels if isinstance(labels, dict) else None
