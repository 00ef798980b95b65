"""`decide`: the one function that says what a run does next, and why.

Same inputs, same answer: no clock, no I/O, no randomness.  The foreground engine, the controller, `simulate`, replay
and the property tests all call it.

Each turn does at most one thing to the world.  The order of business: what people ordered, what ended the run from
outside, then the step: its instructions in order, then its gates.  An instruction is done when the *world* shows it,
not when we have written it; so a turn that was lost, doubled or late is simply taken again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from rollout.decide.adopt import adopt, go_back, withdraw
from rollout.decide.broken import forward
from rollout.decide.event import Event
from rollout.decide.failing import failed
from rollout.decide.hooks import call, during, unanswered
from rollout.decide.instructions import approve, prepare, route
from rollout.decide.interrupts import LOST, interrupt
from rollout.decide.keeping import stands
from rollout.decide.onward import enter
from rollout.decide.orders import obey
from rollout.decide.pause import stay
from rollout.decide.promote import promote, release
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen
from rollout.decide.standstill import go_on, stand
from rollout.decide.turn import MOMENT, NEVER, Decision, block, go_home, happen, note, spent, unblock, wait
from rollout.decide.unwind import unwind
from rollout.decide.watch import held, watch
from rollout.plan.program import (
    Apply,
    Approve,
    Call,
    Conclude,
    Enrol,
    Instruction,
    Label,
    Prepare,
    Release,
    Route,
    SetMode,
    Shadow,
    Step,
    Withdraw,
)
from rollout.plan.run import GateState, Phase, RunSpec, State


def decide(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """The next turn of a run."""
    if state.phase.ended:
        return Decision(state, wake=NEVER)
    turn = obey(run, state, seen, now) or interrupt(run, state, seen, now)
    if turn is not None:
        return turn
    if state.suspicion:
        state = replace(state, suspicion=())
    still = stands(run, state, seen, now)
    if still is not None:
        return stand(run, state, still, seen, now)
    state = go_on(state, now)
    match state.phase:
        case Phase.PENDING:
            return _begin(run, state, seen, now)
        case Phase.ROLLING_BACK:
            if state.back:
                return go_back(run, state, seen, now)
            lost = state.committed or state.reason in LOST
            return unwind(run, state, seen, now, routes_first=lost)
        case Phase.PROMOTING | Phase.HELD if state.committed:
            return promote(run, state, seen, now)
        case Phase.HELD:
            return held(state, run.program.steps[state.step], seen, now)
        case Phase.PAUSED:
            return stay(run, state, seen, now)
        case _:
            return _step(run, state, seen, now) if state.floor else _begin(run, state, seen, now)


def _begin(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """Start only when it could be taken back: findings clean, routes home, stable whole, the new revision held."""
    if not state.started:
        state = replace(state, started=now, since=now, waited=0.0)
    if spent(state, now) >= run.program.steps[0].deadline:
        text = f"the run could not begin: {state.message}"
        return go_home(state, Event.ABORTED, now, Phase.ABORTED, Reason.DEADLINE_PASSED, text)
    errors = [f for f in seen.findings if f.level == "error"]
    if errors:
        return block(state, now, Reason.PREFLIGHT_FAILED, f"{errors[0].code}: {errors[0].message}")
    floor = 1
    if run.program.workload:
        work = seen.workload
        stable = work.by_hash(run.revision.stable_hash) if work else None
        if work is None or not work.held:
            return block(state, now, Reason.NOT_HELD, f"Deployment/{run.program.workload} holds no new revision")
        ready = stable.ready if stable else 0
        if _tries(run) and ready < max(1, work.desired):
            text = f"stable has {ready} of {work.desired} pods ready"
            if not state.full:
                return block(state, now, Reason.STABLE_NOT_READY, text)
            text += "; promotion in full was ordered and goes on"
            state = note(state, now, Reason.STABLE_NOT_READY, text, warning=True)
        floor = max(1, ready)
    state = replace(state, floor=floor, since=now, waited=0.0, gates=_beginnings(run))
    text = "the run begins"
    if state.phase is Phase.PENDING:
        return Decision(happen(state, Event.STARTED, now, Reason.STARTED, text))
    return Decision(note(unblock(state, now), now, Reason.STARTED, text))


def _beginnings(run: RunSpec) -> dict[str, GateState]:
    """Of a traffic-only plan the backends have a past, which is no evidence: the first look says where it ends."""
    if run.program.workload:
        return {}
    return {gate.name: GateState(anew=True) for step in run.program.steps for gate in step.gates}


def _tries(run: RunSpec) -> bool:
    """Whether the version must prove itself. Going back to a recent one must not wait for the broken one."""
    return any(isinstance(i, Prepare) for step in run.program.steps for i in step.instructions)


def _step(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    step = run.program.steps[state.step]
    if spent(state, now) > step.deadline:
        text = f"step {state.step + 1} ({step.name}) took longer than {step.deadline:.0f} s: {state.message}"
        return failed(state, step, now, Reason.DEADLINE_PASSED, text)
    turn = forward(run, state, step, seen, now)
    if turn is not None:
        return turn
    for instruction in step.instructions:
        turn = _perform(run, state, step, instruction, seen, now)
        if turn is not None:
            return turn
    turn = during(run, state, step, seen, now)
    if turn is not None:
        return turn
    looked = watch(state, step, seen, now)
    if not isinstance(looked, State):
        return replace(looked, wake=min(looked.wake, MOMENT)) if step.during else looked
    missing = unanswered(run, looked, step)
    return wait(looked, missing) if missing else _passed(run, unblock(looked, now), step, now)


def _perform(
    run: RunSpec, state: State, step: Step, instruction: Instruction, seen: Seen, now: float
) -> Decision | None:
    """The turn that an instruction needs, or None when the world shows it done."""
    match instruction:
        case Prepare():
            return prepare(run, state, step, instruction.percent, seen, now)
        case Route():
            return route(run, state, instruction, seen, now)
        case Approve():
            return approve(run, state, step, instruction, seen, now)
        case Call():
            return call(run, state, step, instruction, seen, now)
        case Enrol() | Label() | SetMode() | Shadow() | Apply():
            return adopt(run, state, step, step.instructions.index(instruction), instruction, seen, now)
        case Withdraw():
            return withdraw(run, state, instruction, seen, now)
        case Release():
            return release(run, state, instruction.mode, seen, now)
        case Conclude():
            if instruction.keep_route or run.program.adoption is not None:  # what was reached stays
                kept = tuple(e for e in state.journal if e.kind not in ("route", "weight", "mesh"))
                state = replace(state, journal=kept)
            return unwind(run, unblock(state, now), seen, now, routes_first=True)
        case _:
            assert_never(instruction)


def _passed(run: RunSpec, state: State, step: Step, now: float) -> Decision:
    text = f"step {state.step + 1} of {len(run.program.steps)} passed: {step.name}"
    state = happen(state, Event.STEP_DONE, now, Reason.STEP_PASSED, text)
    return Decision(enter(_afresh(run, state), state.step + 1, now))


def _afresh(run: RunSpec, state: State) -> State:
    """The steps of an adoption are about one workload each: what gates saw of the last one is no evidence."""
    return state if run.program.adoption is None else replace(state, heals=(), gates={})
