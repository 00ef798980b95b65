"""The one exit: what a turn changed is told here, to the plan's status and as Kubernetes Events.

Telling never stops a run: what cannot be told now is told by the next turn, or not at all.  News is told at once.  That
a run went on as planned, or waits for what often comes by itself, is told when it has lasted a while; words that change
from look to look (`16 of 20 requests`) are told once a minute.  So hundreds of fast runs do not flood the cluster with
what nobody could read: while all goes well, a fast step costs the write of the run's state and that of the route.
"""

from __future__ import annotations

import math
from typing import Final

from rollout.controller.events import tell
from rollout.controller.record import HEARTBEAT, Record
from rollout.controller.status import plan_status
from rollout.decide.reason import Reason
from rollout.errors import Conflict, NotFound
from rollout.plan.base import Json
from rollout.plan.kinds import plan_of
from rollout.plan.run import Note, State, news
from rollout.ports.cluster import guard_of
from rollout.ports.world import World

QUIET: Final = 12.0
"""Seconds that a step, or a wait, must last before it is news by itself."""
ROUTINE: Final = frozenset({Reason.WEIGHT_SET, Reason.STEP_PASSED})
"""What happens in every run as planned."""
PASSING: Final = frozenset({Reason.NO_DATA, Reason.INCONCLUSIVE, Reason.METRICS_UNAVAILABLE, Reason.TRAFFIC_ASKEW})
"""What a run waits for that often comes with the next scrape."""


async def report(world: World, record: Record) -> float:
    """Tell what is news since the last report; take the finalizer off when the run is over.

    What the cluster does not know yet is told after the turn that writes it: it must not have happened twice.

    Returns:
        Seconds until there may be more to tell; infinity when there is not.
    """
    if not record.known:
        return math.inf
    state, now = record.state, world.clock.now()
    told, later = _news(record.told, state, record.told_at, now)
    for note in told:
        await tell(world, record.run, note)
    record.told, record.told_at = state, now
    later = min(later, await _tell_plan(world, record))
    if state.phase.ended:
        await record.let_go()
    return later


def _news(before: State, after: State, told_at: float, now: float) -> tuple[list[Note], float]:
    """What to tell now, and in how many seconds there is more.

    New notes at once; of those that wait, when they have become old enough since the last report: the newest of what
    went as planned, and what is still waited for.
    """
    at_once = [n for n in news(before, after) if n.reason not in ROUTINE | PASSING and not _unheard(n, before)]
    waits = [n for n in after.notes if n.reason in ROUTINE][-1:]
    if after.holding is not None:
        waits += [n for n in after.notes if n.reason == after.holding.reason and n.reason in PASSING][-1:]
    ripe = [n for n in waits if told_at < n.at + QUIET <= now or (after.phase.ended and told_at < n.at)]
    return at_once + ripe, min((n.at + QUIET - now for n in waits if n.at + QUIET > now), default=math.inf)


def _unheard(note: Note, before: State) -> bool:
    """Whether this is the end of a wait that nobody was told of."""
    wait = before.holding if note.reason == Reason.CLEARED else None
    return wait is not None and wait.reason in PASSING and note.at - wait.since < QUIET


async def _tell_plan(world: World, record: Record) -> float:
    """Bring the plan's status up to date; in how many seconds it will have to be."""
    ref, state = plan_of(record.run), record.state
    plan = await world.cluster.get(ref)
    if plan is None or plan["metadata"]["uid"] != record.spec.plan_uid:
        return math.inf
    now, known = world.clock.now(), plan.get("status") or {}
    status = plan_status(plan, record.ref.name, record.spec, state, now)
    if status == known:
        return math.inf
    left = _due(status, known, record) - now
    if left > 0:
        return left
    try:
        await world.cluster.put_status(ref, status, guard_of(plan))
        record.plan_told = now
    except (Conflict, NotFound):
        pass  # the owner wrote or deleted the plan at the same moment; the next turn tells it
    return math.inf


def _due(status: Json, known: Json, record: Record) -> float:
    """When this status shall be told."""
    state = record.state
    if _of(status, *_HEADLINE) != _of(known, *_HEADLINE):
        wait = state.holding
        return wait.since + QUIET if wait is not None and wait.reason in PASSING else 0.0
    if _of(status, *_PLACE) != _of(known, *_PLACE):
        return state.since + QUIET
    return max(state.since + QUIET, record.plan_told + HEARTBEAT)


_HEADLINE: Final = ("observedGeneration", "run", "phase", "reason")
"""What is told at once."""
_PLACE: Final = ("step", "weight", "stage", "doing", "units")
"""Where a run is. The rest of a status is words."""


def _of(status: Json, *names: str) -> tuple[object, ...]:
    return tuple(status.get(name) for name in names)
