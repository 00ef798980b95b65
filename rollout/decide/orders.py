"""What people order: promote and abort, each bound to a run and a step, each consumed once."""

from __future__ import annotations

from dataclasses import replace

from rollout.decide.event import Event
from rollout.decide.phase import allows
from rollout.decide.reason import Reason
from rollout.decide.seen import Order
from rollout.decide.turn import Decision, go_home, happen, note
from rollout.plan.program import Prepare, Program, Release, Route
from rollout.plan.run import Phase, RunSpec, State


def obey(run: RunSpec, state: State, orders: tuple[Order, ...], now: float) -> Decision | None:
    """What the first order that was not consumed yet leads to; None when there is none."""
    order = next((o for o in orders if o.uid not in state.decisions), None)
    if order is None:
        return None
    state = replace(state, decisions=(*state.decisions, order.uid)[-20:])
    refusal = _stale(state, order, now)
    if refusal:
        return _refuse(state, order, refusal, now)
    if order.verb == "abort":
        return _abort(run, state, order, now)
    if order.verb == "promote":
        return _promote(run, state, order, now)
    return _refuse(state, order, "this engine does not know the order yet", now)


def _stale(state: State, order: Order, now: float) -> str:
    if order.expires is not None and now > order.expires:
        return "it has expired"
    if order.step is not None and order.step != state.step:
        return f"it was given for step {order.step + 1}, the run is at step {state.step + 1}"
    return ""


def _refuse(state: State, order: Order, why: str, now: float) -> Decision:
    text = f"{order.verb} by {order.by or 'somebody'} was refused: {why}"
    return Decision(note(state, now, Reason.DECISION_REFUSED, text, warning=True))


def _abort(run: RunSpec, state: State, order: Order, now: float) -> Decision:
    if state.committed and not _reversible(run, state):
        return _refuse(state, order, "the Deployment has been released already; roll it back instead", now)
    if not allows(state.phase, Event.ABORTED):
        return _refuse(state, order, f"the run is {state.phase}", now)
    text = f"aborted by {order.by or 'somebody'}" + (f": {order.reason}" if order.reason else "")
    return go_home(state, Event.ABORTED, now, Phase.ABORTED, Reason.ABORT_ORDERED, text)


def _reversible(run: RunSpec, state: State) -> bool:
    """Whether a release can still be taken back: a native roll under way, or any roll that is stuck."""
    native = any(isinstance(i, Release) and i.mode == "native" for i in run.program.steps[state.step].instructions)
    return native or state.phase is Phase.HELD


def _promote(run: RunSpec, state: State, order: Order, now: float) -> Decision:
    text = f"promoted by {order.by or 'somebody'}" + (f": {order.reason}" if order.reason else "")
    if state.committed or state.phase is Phase.ROLLING_BACK:
        return _refuse(state, order, f"the run is {state.phase}", now)
    if state.holding is not None and state.holding.reason == Reason.DRIFT:
        state = replace(state, routed=None)  # as if our own write had not landed: the weights are put back, once
    elif order.full:
        goal = _full(run.program)
        if state.step < goal:
            state = enter(state, goal, now)
        state = replace(state, full=True)
    else:
        state = replace(state, approved=True)
    if state.phase is Phase.HELD:
        state = replace(state, since=now)
    if allows(state.phase, Event.APPROVED):
        return Decision(happen(state, Event.APPROVED, now, Reason.APPROVED, text))
    if state.phase is Phase.HOLDING:
        return Decision(happen(state, Event.CLEARED, now, Reason.APPROVED, text))
    return Decision(note(state, now, Reason.APPROVED, text))


def _full(program: Program) -> int:
    """The index of the first step of the promotion: full traffic, or the native release."""
    for index, step in enumerate(program.steps):
        if any(isinstance(i, Release) for i in step.instructions):
            return index
        full = any(isinstance(i, Prepare) and i.percent >= 100 for i in step.instructions)
        if full or any(isinstance(i, Route) and i.weight >= 100 for i in step.instructions):
            return index
    return len(program.steps) - 1


def enter(state: State, step: int, now: float) -> State:
    """The state at the beginning of a step; what the gates remember goes along."""
    return replace(
        state,
        step=step,
        since=now,
        waited=0.0,
        held_since=None,
        approved=False,
        step_times=(*state.step_times, round(now - state.since, 3)),
        gates={name: replace(g, requests=0.0) for name, g in state.gates.items()},
    )
