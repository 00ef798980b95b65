"""The hold of a step: gates look in turn, until the time is over and every gate passes."""

from __future__ import annotations

from dataclasses import replace

from rollout.decide.failing import failed
from rollout.decide.gates import due, failure, look, waiting
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen
from rollout.decide.turn import Decision, block, unblock, until, wait
from rollout.plan.program import Step
from rollout.plan.run import GateState, RunSpec, State


def watch(run: RunSpec, state: State, step: Step, seen: Seen, now: float) -> Decision | None:
    """The next turn of the hold, or None when the step has passed."""
    if state.held_since is None:
        return Decision(_begin(state, step, now))
    state = _look(state, step, seen, now)
    bad = None if state.full else failure(step.gates, state.gates)
    if bad is not None:
        return failed(state, step, now, Reason.GATE_FAILED, bad.message)
    if state.approved or state.full:
        return None
    left = until(state.held_since + step.hold, now) if state.held_since is not None else 0.0
    open_gate = waiting(step.gates, state.gates, state.held_since or now)
    if left <= 0 and open_gate is None:
        return None
    wake = _next_wake(state, step, left, now)
    return _explain(unblock_if_fine(state, open_gate, now), open_gate, left, wake, now)


def _begin(state: State, step: Step, now: float) -> State:
    """Start the hold: every gate looks once at once, so that its counters have a beginning."""
    gates = dict(state.gates)
    for gate in step.gates:
        gates[gate.name] = replace(gates.get(gate.name, GateState()), next_look=now)
    return replace(state, held_since=now, gates=gates)


def _look(state: State, step: Step, seen: Seen, now: float) -> State:
    judged = state.held_since is not None and now - state.held_since >= step.warmup
    gates = dict(state.gates)
    for gate in due(step, state, now):
        sample = seen.samples.get(gate.name)
        if sample is not None:
            gates[gate.name] = look(gate, gates.get(gate.name, GateState()), sample, now, judged=judged)
    return replace(state, gates=gates)


def _next_wake(state: State, step: Step, left: float, now: float) -> float:
    """Until the hold is over or the next gate is due; a look that is due and was not answered comes in a second."""
    looks = [max(1.0, until(state.gates[g.name].next_look, now)) for g in step.gates if g.name in state.gates]
    moments = [*looks, left] if left > 0 else looks
    return min(moments, default=1.0)


def unblock_if_fine(state: State, open_gate: tuple[Reason, str] | None, now: float) -> State:
    """A run that held for something else than this gate goes on."""
    if state.holding is not None and (open_gate is None or open_gate[0] != state.holding.reason):
        return unblock(state, now)
    return state


def _explain(state: State, open_gate: tuple[Reason, str] | None, left: float, wake: float, now: float) -> Decision:
    """Say what the step waits for. Missing metrics are said at once, thin traffic only when the time is over."""
    if open_gate is not None:
        reason, text = open_gate
        if reason is Reason.METRICS_UNAVAILABLE or left <= 0 and reason is Reason.NO_DATA:
            return block(state, now, reason, text, wake)
        if left <= 0:
            return wait(state, text, wake)
    return wait(state, f"watching, {left:.0f} s left" if left > 0 else "watching", wake)
