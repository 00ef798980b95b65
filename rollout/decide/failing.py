"""What a step's failure does."""

from __future__ import annotations

from dataclasses import replace

from rollout.decide.event import Event
from rollout.decide.gates import GateFailure
from rollout.decide.reason import Reason
from rollout.decide.turn import NEVER, Decision, go_home, happen
from rollout.plan.program import Step
from rollout.plan.run import Phase, State


def gate_failed(state: State, step: Step, now: float, bad: GateFailure) -> Decision:
    """What a failed gate does: what it says itself, or what its step says."""
    asked = step if bad.does is None or bad.does == "promote" else replace(step, on_failure=bad.does)
    return failed(state, asked, now, Reason.GATE_FAILED, bad.message)


def failed(state: State, step: Step, now: float, reason: Reason, text: str) -> Decision:
    """Roll back, go back to an earlier step, or stop in place and wait for a person, as the step says."""
    if step.on_failure == "hold":
        held = happen(state, Event.STOPPED, now, reason, text, warning=True)
        return Decision(replace(held, failed=held.notes[-1]), wake=NEVER)
    turn = go_home(state, Event.FAILED, now, Phase.ROLLED_BACK, reason, text)
    if step.on_failure != "return":
        return turn
    return replace(turn, state=replace(turn.state, outcome=None, back=step.back_to or step.name))
