"""Paused by a person: only going on stops.

The weight stays, routes are watched by the plan's drift policy, gates go on looking and a failed one does what the step
says, and what ends a run from outside ends it.  No time passes: neither the step's deadline nor its hold nor an
approval's time goes on (`turn.spent`).
"""

from __future__ import annotations

from dataclasses import replace

from rollout.decide.answer import refuse, reversible, told, too_late
from rollout.decide.approval import approval
from rollout.decide.event import Event
from rollout.decide.failing import failed
from rollout.decide.instructions import ask, gone, in_place
from rollout.decide.phase import allows
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, Seen
from rollout.decide.turn import NEVER, Decision, happen, stood, wait
from rollout.decide.watch import glance, next_wake
from rollout.plan.program import Release
from rollout.plan.run import Pause, Phase, RunSpec, State


def pause(run: RunSpec, state: State, order: Order, now: float) -> Decision:
    """Stop going on, where the run is."""
    why = too_late(run, state)
    if why:
        back = f"; rollout abort {run.plan} takes it back" if state.committed and reversible(run, state) else ""
        return refuse(state, order, f"{why}: half-way is no place to stay{back}", now)
    if not allows(state.phase, Event.PAUSED):
        return refuse(state, order, _not_now(state), now)
    before, text = state.phase, told("paused", order)
    state = happen(stood(state, now), Event.PAUSED, now, Reason.PAUSED, text)
    return Decision(replace(state, paused=Pause(now, before, text)))


def _not_now(state: State) -> str:
    match state.phase:
        case Phase.PAUSED:
            return "the run is paused already"
        case Phase.HELD:
            return "the run is held, and waits for a person already"
        case Phase.ROLLING_BACK:
            return "the run goes home, and half-way is no place to stay"
        case _:
            return f"the run is {state.phase}"


def resume(run: RunSpec, state: State, order: Order, now: float) -> Decision:
    """Go on where the run was paused."""
    pause = state.paused
    if pause is None:
        return refuse(state, order, f"the run is not paused, it is {state.phase}", now)
    length = now - pause.since
    held = length if state.held_since is not None else 0.0
    state = replace(state, waited=state.waited + length, hold_waited=state.hold_waited + held)
    text = told(f"resumed after {length:.0f} s", order)
    state = happen(state, Event.RESUMED, now, Reason.RESUMED, text)
    wanted = approval(run, state) if pause.before is Phase.AWAITING_APPROVAL else None
    return Decision(state if wanted is None else ask(run, state, wanted, now))


def stay(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """A turn of a paused run: look after what is there."""
    message = state.paused.message if state.paused is not None else state.message
    tended = tend(run, state, seen, now)
    return tended if isinstance(tended, Decision) else wait(tended, message, attention(run, tended, now))


def tend(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | State:
    """Look after what is there without going on: the turn that it takes, or the state with its last looks."""
    step = run.program.steps[state.step]
    if _steered(run, state):
        turn = in_place(run, state, seen, now)
        if turn is None and run.program.workload:
            turn = gone(state, step, seen.candidate, now)
        if turn is not None:
            return turn
    if state.held_since is None:
        return state
    state, bad = glance(state, step, seen, now)
    if bad is not None and not state.approved:
        return failed(state, step, now, Reason.GATE_FAILED, bad.message)
    return state


def attention(run: RunSpec, state: State, now: float) -> float:
    """Seconds until the gates of a run that does not go on want to look; infinity when none does."""
    step = run.program.steps[state.step]
    return next_wake(state, step, 0.0, now) if step.gates and state.held_since is not None else NEVER


def _steered(run: RunSpec, state: State) -> bool:
    """Whether the routes are to be split by us. A native release takes them home before it commits."""
    native = any(isinstance(i, Release) and i.mode == "native" for i in run.program.steps[state.step].instructions)
    return not native and any(entry.kind == "route" for entry in state.journal)
