"""What one look at the world leads to, and the small steps that all parts of the engine share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rollout.decide.action import Action
from rollout.decide.event import Event
from rollout.decide.phase import advance, allows
from rollout.decide.reason import Reason
from rollout.plan.run import Holding, Note, Phase, State

MOMENT = 1.0
"""Seconds until it is worth looking again at something that other controllers are working on."""
NOTES = 60
"""How many lines of its story a run keeps."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The state to remember (written before anything is done), what to do, and when to look again.

    `wake` is in seconds; infinity when nothing will happen by itself.
    """

    state: State
    actions: tuple[Action, ...] = ()
    wake: float = 0.0


def note(state: State, now: float, reason: Reason, message: str, *, warning: bool = False) -> State:
    """The state with one more line in its story."""
    notes = (*state.notes, Note(now, reason, message, warning))
    return replace(state, notes=notes[-NOTES:], forgotten=state.forgotten + max(0, len(notes) - NOTES))


def happen(state: State, event: Event, now: float, reason: Reason, message: str, *, warning: bool = False) -> State:
    """The state after an event: the next phase by the table, reason and message set, the story continued."""
    phase = advance(state.phase, event, state.outcome)
    state = note(state, now, reason, message, warning=warning)
    holding = Holding(reason, message, now) if phase is Phase.HOLDING else None
    paused = state.paused if phase is Phase.PAUSED else None
    return replace(state, phase=phase, reason=reason, message=message, holding=holding, paused=paused)


def go_home(state: State, event: Event, now: float, outcome: Phase, reason: Reason, message: str) -> Decision:
    """Begin to undo, for the given end."""
    state = happen(replace(state, outcome=outcome, back=""), event, now, reason, message, warning=True)
    return Decision(replace(state, failed=state.notes[-1], since=now, standing=None, settled=None, drained=None))


def block(state: State, now: float, reason: Reason, message: str, wake: float = MOMENT) -> Decision:
    """Wait for what is missing, and say so. The same reason again only renews the message."""
    if state.holding is not None and state.holding.reason == reason:
        same = state.holding.message == message
        return Decision(
            state if same else replace(state, message=message, holding=replace(state.holding, message=message)),
            wake=wake,
        )
    if not allows(state.phase, Event.BLOCKED):
        return wait(state, message, wake)
    return Decision(happen(state, Event.BLOCKED, now, reason, message, warning=True), wake=wake)


def unrouted(state: State) -> State:
    """The state that asks nothing of the router for the candidate: no weight, no chosen requests, no copies."""
    return replace(state, weight=0.0, matched=False, mirrored=0.0)


def unblock(state: State, now: float) -> State:
    """The state when what was missing is there again."""
    if state.phase is not Phase.HOLDING or state.holding is None:
        return state
    waited = now - state.holding.since
    return happen(
        state, Event.CLEARED, now, Reason.CLEARED, f"goes on after {waited:.0f} s: {state.holding.reason} is over"
    )


def wait(state: State, message: str, wake: float = MOMENT) -> Decision:
    """Nothing to do but look again."""
    return Decision(replace(state, message=message) if state.message != message else state, wake=wake)


def until(moment: float, now: float) -> float:
    """Seconds from now until a moment, never negative."""
    return max(0.0, moment - now)


def spent(state: State, now: float) -> float:
    """Seconds that this attempt at the step has taken; while it is paused or stands still no time passes."""
    return now - state.since - state.waited - _pausing(state, now)


def hold_spent(state: State, now: float) -> float:
    """Seconds of the step's hold that are over; while it is paused or stands still no time passes."""
    if state.held_since is None:
        return 0.0
    return now - state.held_since - state.hold_waited - _pausing(state, now)


def _pausing(state: State, now: float) -> float:
    since = state.standing if state.paused is None else state.paused.since
    return 0.0 if since is None else now - since


def stood(state: State, now: float) -> State:
    """The state when it stands still no more; the time in which it did counts for nothing."""
    if state.standing is None:
        return state
    length = now - state.standing
    held = length if state.held_since is not None else 0.0
    return replace(state, standing=None, waited=state.waited + length, hold_waited=state.hold_waited + held)


NEVER = math.inf
