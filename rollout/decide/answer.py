"""What an order is answered: the words in which it is obeyed or refused, and what makes all orders come too late."""

from __future__ import annotations

from rollout.decide.reason import Reason
from rollout.decide.seen import Order
from rollout.decide.turn import Decision, note
from rollout.plan.program import Conclude, Release
from rollout.plan.run import Phase, RunSpec, State


def refuse(state: State, order: Order, why: str, now: float) -> Decision:
    """The order is consumed, and the story says why nothing came of it."""
    return Decision(note(state, now, Reason.DECISION_REFUSED, refusal(order, why), warning=True))


def refusal(order: Order, why: str) -> str:
    """`pause by ana was refused: it is paused already`."""
    return f"{order.verb} by {order.by or 'somebody'} was refused: {why}"


def told(done: str, order: Order) -> str:
    """`aborted by ana: looks odd`."""
    return f"{done} by {order.by or 'somebody'}" + (f": {order.reason}" if order.reason else "")


def too_late(run: RunSpec, state: State) -> str:
    """Why nothing can be stopped or left out any more; empty before the commit point."""
    if state.committed:
        return "the Deployment has been released and rolls by itself"
    if state.phase is not Phase.ROLLING_BACK and has(run, state, Conclude):
        return "the traffic has been shifted for good, the run only tidies up"
    return ""


def has(run: RunSpec, state: State, *kinds: type) -> bool:
    """Whether the current step has an instruction of one of these kinds."""
    return any(isinstance(i, kinds) for i in run.program.steps[state.step].instructions)


def reversible(run: RunSpec, state: State) -> bool:
    """Whether a release can still be taken back: a native roll under way, or any roll that is stuck."""
    steps = run.program.steps[state.step].instructions
    return state.phase is Phase.HELD or any(isinstance(i, Release) and i.mode == "native" for i in steps)
