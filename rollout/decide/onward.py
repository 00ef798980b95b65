"""Orders that let a run go on: promote, skip, retry.  Promote is consent, skip and retry are about evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollout.decide.answer import has, refuse, told, too_late
from rollout.decide.approval import consent
from rollout.decide.broken import down, serves
from rollout.decide.event import Event
from rollout.decide.keeping import kept
from rollout.decide.phase import allows
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, Seen
from rollout.decide.turn import Decision, happen, note
from rollout.plan.program import Approve, Program, Release, Route
from rollout.plan.run import GateState, Phase, RunSpec, State


def promote(run: RunSpec, state: State, order: Order, seen: Seen, now: float) -> Decision:
    """Let the step pass; with `full`, all steps up to the promotion."""
    text = told("promoted", order)
    if not order.full and (still := kept(state, seen, now)) is not None:
        text += f"; it goes on later: {still.message}"
    if order.full and _turns(run, state, seen):
        return Decision(happen(_turned(run, state, now), Event.APPROVED, now, Reason.APPROVED, text))
    if state.committed or state.phase in (Phase.ROLLING_BACK, Phase.PAUSED):
        return refuse(state, order, _waits(run, state), now)
    drifted = state.holding is not None and state.holding.reason == Reason.DRIFT
    if drifted:
        # as if our own write had not landed: the weights are put back, once
        state = replace(state, routed=None, heals=())
    if order.full:
        goal = _full(run.program)
        state = replace(enter(state, goal, now) if state.step < goal else state, full=True)
    elif not drifted:
        agreed = consent(run, state, order, now)
        if isinstance(agreed, Decision):
            return agreed
        state = agreed
    if state.phase is Phase.HELD:
        state = replace(state, since=now, waited=0.0, failed=None)
    if allows(state.phase, Event.APPROVED):
        return Decision(happen(state, Event.APPROVED, now, Reason.APPROVED, text))
    if state.phase is Phase.HOLDING:
        return Decision(happen(state, Event.CLEARED, now, Reason.APPROVED, text))
    return Decision(note(state, now, Reason.APPROVED, text))


def _turns(run: RunSpec, state: State, seen: Seen) -> bool:
    """Whether a run that goes home can turn round: stable is down, and what was tried serves and is still asked for."""
    work, back = seen.workload, state.phase is Phase.ROLLING_BACK and not state.committed
    asked = seen.plan_exists and work is not None and work.digest == run.revision.digest
    return back and asked and down(run, seen) and serves(seen)


def _turned(run: RunSpec, state: State, now: float) -> State:
    """As if it had never gone home, at the first step of the promotion; what was undone is done again as needed."""
    state = replace(state, outcome=None, failed=None, undo=False, full=True, settled=None, drained=None)
    return enter(replace(state, prepared=0, routed=None), _full(run.program), now)


def skip(run: RunSpec, state: State, order: Order, now: float) -> Decision:
    """Let the step pass without what is left of its hold and gates; what it does in the cluster is done."""
    why = too_late(run, state)
    if not why and has(run, state, Release):
        why = "this step releases the Deployment and looks at no evidence before"
    if not why and has(run, state, Approve):
        why = f"an approval is a person's consent, not evidence: rollout promote {run.plan}"
    if not why and not state.floor:
        why = "the run has not begun, and its checks cannot be left out"
    if why or not allows(state.phase, Event.SKIPPED):
        return refuse(state, order, why or _waits(run, state), now)
    step = run.program.steps[state.step]
    text = told(f"what is left of step {state.step + 1} ({step.name}) was skipped", order)
    if state.phase is Phase.HELD and step.on_failure == "return":  # it was undone, and is left out
        state = happen(replace(state, failed=None), Event.SKIPPED, now, Reason.SKIPPED, text)
        return Decision(enter(state, state.step + 1, now))
    state = replace(state, approved=True)
    if state.phase is Phase.HELD:
        state = replace(state, since=now, waited=0.0, failed=None)
    return Decision(happen(state, Event.SKIPPED, now, Reason.SKIPPED, text))


def retry(run: RunSpec, state: State, order: Order, now: float) -> Decision:
    """Begin the step again: its deadline, its hold and its gates."""
    why = too_late(run, state)
    if why or not allows(state.phase, Event.RETRIED):
        return refuse(state, order, why or _waits(run, state), now)
    step = run.program.steps[state.step]
    text = told(f"step {state.step + 1} ({step.name}) was tried again", order)
    return Decision(happen(_again(state, now), Event.RETRIED, now, Reason.RETRIED, text))


def _again(state: State, now: float) -> State:
    """A new attempt of the step. Counters go on where they were: they must not be counted twice."""
    fresh = replace(state, since=now, standing=None, waited=0.0, held_since=None, hold_waited=0.0, failed=None)
    return replace(fresh, approved=False, approvals=(), gates=anew(state.gates))


def anew(gates: Mapping[str, GateState]) -> dict[str, GateState]:
    """Gates without their looks, which belonged to another attempt; counters go on where they were."""
    return {name: GateState(cursor=gate.cursor, query=gate.query, anew=True) for name, gate in gates.items()}


def _waits(run: RunSpec, state: State) -> str:
    """Why the phase does not take an order to go on."""
    at = f"{run.plan} -n {run.program.namespace}"
    match state.phase:
        case Phase.PAUSED:
            return f"the run is paused: rollout resume {at} comes first"
        case Phase.AWAITING_APPROVAL:
            return f"the run waits for a person: rollout promote {at}"
        case Phase.ROLLING_BACK:
            return "the run goes home already"
        case _:
            return f"the run is {state.phase}"


def _full(program: Program) -> int:
    """The index of the first step of the promotion: full traffic, or the native release."""
    for index, step in enumerate(program.steps):
        if any(isinstance(i, Release) for i in step.instructions):
            return index
        if any(isinstance(i, Route) and i.weight >= 100 for i in step.instructions):
            return index
    return len(program.steps) - 1


def enter(state: State, step: int, now: float) -> State:
    """The state at the beginning of a step; what the gates remember goes along."""
    return replace(
        state,
        step=step,
        since=now,
        standing=None,
        waited=0.0,
        held_since=None,
        hold_waited=0.0,
        sized=None,
        approved=False,
        approvals=(),
        step_times=(*state.step_times, round(now - state.since, 3)) if state.started else state.step_times,
        gates={name: replace(g, requests=0.0) for name, g in state.gates.items()},
    )
