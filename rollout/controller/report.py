"""The one exit: what a turn changed is told here, to the plan's status and as Kubernetes Events.

Telling never stops a run: what cannot be told now is told by the next turn, or not at all.  News is told at once;
that a run went on as planned is told when the step has lasted a while, so that hundreds of fast runs do not flood
the cluster with what nobody could read.
"""

from __future__ import annotations

from typing import Final

from rollout.controller.events import event
from rollout.controller.record import Record
from rollout.controller.status import plan_status
from rollout.decide.reason import Reason
from rollout.errors import Conflict, NotFound, RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import plan_of
from rollout.plan.run import Note, State, news
from rollout.ports.cluster import guard_of
from rollout.ports.world import World

QUIET: Final = 12.0
"""Seconds that a step must last before it is news by itself."""
ROUTINE: Final = frozenset({Reason.WEIGHT_SET, Reason.STEP_PASSED})
"""What happens in every run as planned."""


async def report(world: World, record: Record) -> None:
    """Tell what is news since the last report; take the finalizer off when the run is over.

    What the cluster does not know yet is told after the turn that writes it: it must not have happened twice.
    """
    if not record.known:
        return
    state, now = record.state, world.clock.now()
    try:
        for note in _news(record.told, state, record.told_at, now):
            await world.cluster.create(event(record.run, note))
    except RolloutError:
        pass  # an Event that exists was told by a turn whose answer was lost; one that is refused must not stop us
    record.told, record.told_at = state, now
    await _tell_plan(world, record)
    if state.phase.ended:
        await record.let_go()


def _news(before: State, after: State, told_at: float, now: float) -> list[Note]:
    """New notes; of the routine ones those that have become old enough since the last report, and are still true."""
    latest = {n.reason: n for n in after.notes if n.reason in ROUTINE}
    return [n for n in news(before, after) if n.reason not in ROUTINE] + [
        n for n in latest.values() if told_at < n.at + QUIET <= now or (after.phase.ended and told_at < n.at)
    ]


async def _tell_plan(world: World, record: Record) -> None:
    ref = plan_of(record.run)
    plan = await world.cluster.get(ref)
    if plan is None or plan["metadata"]["uid"] != record.spec.plan_uid:
        return
    now, known = world.clock.now(), plan.get("status") or {}
    status = plan_status(plan, record.ref.name, record.spec, record.state, now)
    if status == known or (_headline(status) == _headline(known) and now - record.state.since < QUIET):
        return
    try:
        await world.cluster.put_status(ref, status, guard_of(plan))
    except (Conflict, NotFound):
        return  # the owner wrote or deleted the plan at the same moment; the next turn tells it


def _headline(status: Json) -> tuple[object, ...]:
    """What is told at once."""
    return tuple(status.get(key) for key in ("observedGeneration", "run", "phase", "reason"))
