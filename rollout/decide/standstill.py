"""A run that is kept from going on (`keeping`) stays where it is and is looked after, as if a person had paused it.

The weight stays, gates go on looking, a failed one does what the step says, and no time of the step passes.
"""

from __future__ import annotations

from dataclasses import replace

from rollout.decide.event import Event
from rollout.decide.keeping import REASONS, Standstill
from rollout.decide.pause import attention, tend
from rollout.decide.seen import Seen
from rollout.decide.turn import Decision, happen, stood, unblock, until, wait
from rollout.plan.run import RunSpec, State


def stand(run: RunSpec, state: State, still: Standstill, seen: Seen, now: float) -> Decision:
    """A turn of a run that stands still."""
    if state.standing is None:
        state = replace(state, standing=now)
    if not state.floor:
        return wait(_said(state, still, now), still.message, until(still.until, now))
    tended = tend(run, state, seen, now)
    if isinstance(tended, Decision):
        return tended
    wake = min(attention(run, tended, now), until(still.until, now))
    return wait(_said(tended, still, now), still.message, wake)


def go_on(state: State, now: float) -> State:
    """The state when nothing keeps it any more."""
    if state.standing is None:
        return state
    holds = state.holding is not None and state.holding.reason in REASONS
    return unblock(stood(state, now), now) if holds else stood(state, now)


def _said(state: State, still: Standstill, now: float) -> State:
    """The state that says why; once for each reason."""
    if state.holding is not None and state.holding.reason == still.reason:
        return replace(state, holding=replace(state.holding, message=still.message))
    return happen(state, Event.BLOCKED, now, still.reason, still.message)
