"""The hold of a step: gates look in turn, until the time is over and every gate passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rollout.decide.failing import gate_failed
from rollout.decide.gates import GateFailure, due, failure, gate_fails, look, proved, shortfall, waiting
from rollout.decide.matrix import record
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen
from rollout.decide.turn import NEVER, Decision, block, hold_spent, note, unblock, until, wait
from rollout.plan.program import Limits, Step
from rollout.plan.run import GateState, State

_AT_ONCE: Final = (Reason.METRICS_UNAVAILABLE, Reason.TRAFFIC_ASKEW, Reason.BLOCKERS)
"""What is said although the time of the hold is not over."""


def watch(state: State, step: Step, seen: Seen, now: float) -> Decision | State:
    """The next turn of the hold, or the state (with its last looks) when the step has passed."""
    if state.held_since is None:
        return Decision(_begin(state, step, now))
    began = state.held_since
    before = state.gates
    state = _look(state, step, seen, now)
    if state.approved or state.full:
        return state
    spent = hold_spent(state, now)
    state = _say(state, step, before, spent - step.hold, now)
    bad = failure(step.gates, state.gates, spent - step.hold)
    if bad is not None:
        return gate_failed(state, step, now, bad)
    left = max(0.0, step.hold - spent)
    missing = waiting(step.gates, state.gates, began, spent - step.hold)
    if missing is None and (left <= 0 or (step.early and proved(step.gates, state.gates))):
        return state
    return _explain(state, missing, left, next_wake(state, step, left, now), now)


def held(state: State, step: Step, seen: Seen, now: float) -> Decision:
    """A gate that holds has stopped the run, and a person is waited for: those that roll back look on."""
    watching = [gate for gate in step.gates if (gate_fails(gate) or step.on_failure) == "rollback"]
    by_gate = state.failed is not None and state.failed.reason == Reason.GATE_FAILED
    if not by_gate or state.held_since is None or not watching:
        return wait(state, state.message, NEVER)
    state = _look(state, step, seen, now)
    bad = failure(watching, state.gates)
    if bad is not None:
        return gate_failed(state, step, now, bad)
    return wait(state, state.message, next_wake(state, step, 0.0, now))


def _say(state: State, step: Step, before: Mapping[str, GateState], overdue: float, now: float) -> State:
    """Tell the story which gates have failed by this look although nothing stops for it."""
    for gate in step.gates:
        known, seen = before.get(gate.name, GateState()), state.gates.get(gate.name, GateState())
        if gate_fails(gate) == "promote" and seen is not known and not shortfall(gate, known, overdue):
            if text := shortfall(gate, seen, overdue):
                text += "; its onFailure is promote: the run goes on"
                state = note(state, now, Reason.GATE_FAILED, text, warning=True)
    return state


def glance(state: State, step: Step, seen: Seen, now: float) -> tuple[State, GateFailure | None]:
    """Look at what cannot wait for its gates (a roll that goes on by itself): only a failed gate counts."""
    if state.held_since is None:
        state = _begin(state, step, now)
    state = _look(state, step, seen, now)
    return state, None if state.full else failure(step.gates, state.gates)


def _begin(state: State, step: Step, now: float) -> State:
    """Start the hold: a gate that never looked does so at once, so that its counters have a beginning.

    The others keep their pace; each has a look at the end of the hold, if its own would come later.
    """
    gates = dict(state.gates)
    for gate in step.gates:
        known = gates.get(gate.name, GateState())
        later = min(max(known.next_look, now), now + step.hold) if known.looks or known.cursor else now
        # evidence belongs to a weight: its counters have a beginning where the weight has
        later = later if isinstance(gate, Limits) else now
        gates[gate.name] = replace(known, next_look=later)
    return replace(state, held_since=now, gates=gates)


def _look(state: State, step: Step, seen: Seen, now: float) -> State:
    judged = state.held_since is not None and now - state.held_since >= step.warmup  # also while it is paused
    for gate in due(step, state, now):
        sample = seen.samples.get(gate.name)
        if sample is not None:
            matrix = record(state, gate, sample, now, judged=judged)
            known = state.gates.get(gate.name, GateState())
            seen_ = look(gate, known, sample, now, judged=judged, weight=state.weight)
            state = replace(state, gates={**state.gates, gate.name: seen_}, matrix=matrix)
    return state


def next_wake(state: State, step: Step, left: float, now: float) -> float:
    """Until the hold is over or the next gate is due; a look that was not answered comes again in a second."""
    looks = [max(1.0, until(state.gates[g.name].next_look, now)) for g in step.gates if g.name in state.gates]
    return min([*looks, left] if left > 0 else looks, default=1.0)


def _explain(state: State, missing: tuple[Reason, str] | None, left: float, wake: float, now: float) -> Decision:
    """Say what the step waits for. Outages, lost routes and blockers of STRICT are said at once, the rest later."""
    if missing is None or (missing[0] not in _AT_ONCE and left > 0):
        return wait(unblock(state, now), "watching", wake)
    reason, text = missing
    if reason is Reason.GATE_FAILED:
        return wait(unblock(state, now), text, wake)
    return block(state, now, reason, text, wake)
