"""The commit point: the Deployment is released and rolls, with nothing in the data path depending on it.

`shift`: all traffic is on the candidate, at full size and proved; the roll happens unseen, and only then the route
goes home.  A roll that sticks leaves the traffic where it is served and asks for a person; it goes on by itself when
the roll does.

`native`: the route goes home first and the Deployment rolls under the plain Service.  The candidate still serves
beside it, so the gates go on judging it; when one fails, or the roll sticks, the step's `on_failure` decides whether
the roll is taken back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from rollout.decide.action import Unroute
from rollout.decide.event import Event
from rollout.decide.failing import failed, gate_failed
from rollout.decide.instructions import in_place
from rollout.decide.onward import enter
from rollout.decide.reason import Reason
from rollout.decide.releasing import again, let_go, vain, why
from rollout.decide.seen import Seen, Workload
from rollout.decide.turn import MOMENT, Decision, go_home, happen, until, wait
from rollout.decide.unwind import unwind
from rollout.decide.watch import glance
from rollout.plan.program import Conclude, Step
from rollout.plan.run import Phase, RunSpec, State


def release(run: RunSpec, state: State, mode: Literal["shift", "native"], seen: Seen, now: float) -> Decision:
    """Pass the commit point: remembered before it is done."""
    if mode == "shift":
        turn = in_place(run, state, seen, now)
        if turn is not None:
            return turn
    elif seen.route.where != "home":
        return Decision(replace(state, settled=now + run.program.settings.settle), (Unroute(),), MOMENT)
    elif seen.route.pending:
        settled = replace(state, settled=now + run.program.settings.settle)
        return wait(settled, f"the routes do not hold yet: {seen.route.pending}")
    left = until(state.settled or 0.0, now)
    if left > 0:
        return wait(state, "routes are settling", left)
    text = "the Deployment is released" + ("; all traffic is on the candidate" if mode == "shift" else "")
    return Decision(happen(replace(state, committed=True), Event.RELEASED, now, Reason.RELEASED, text))


def promote(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """After the commit point: wait for the roll, then leave no trace."""
    step = run.program.steps[state.step]
    if any(isinstance(i, Conclude) for i in step.instructions):
        return unwind(run, state, seen, now, routes_first=True)
    work, revision, name = seen.workload, run.revision, f"Deployment/{run.program.workload}"
    if work is not None and work.digest == revision.stable_digest:
        text = f"{name} asks for the stable version again"
        return go_home(state, Event.SUPERSEDED, now, Phase.SUPERSEDED, Reason.REVERTED, text)
    if work is not None and work.rolled:
        return _rolled(run, state, work, now)
    if work is None or work.uid != revision.workload_uid:
        return _stuck(state, now, f"{name} is gone, or was made anew and is not ready")
    if work.digest != revision.digest:
        text = "a newer revision came while this one was rolling: take it out again, and this one goes on"
        return _stuck(state, now, f"{text}; or rollout abort {run.plan}, and the stable one comes back")
    if work.paused:
        return _let_go(run, state, step, work, now)
    return _roll(state, step, work, seen, now)


def _rolled(run: RunSpec, state: State, work: Workload, now: float) -> Decision:
    """Every pod is of what the Deployment asks for: it can have its traffic."""
    if state.phase is Phase.HELD:
        state = happen(state, Event.RELEASED, now, Reason.RELEASED, "the Deployment's roll goes on")
    newer = "" if work.digest == run.revision.digest else " of a newer version, which came while this one rolled"
    text = f"the Deployment has rolled: {work.desired} pods ready{newer}"
    return Decision(enter(happen(state, Event.STEP_DONE, now, Reason.STEP_PASSED, text), state.step + 1, now))


def _let_go(run: RunSpec, state: State, step: Step, work: Workload, now: float) -> Decision:
    """Release it, and when that does not take, say what keeps it; it is tried on, for whatever it is may end."""
    if not vain(state) and now - state.since <= step.deadline:
        return let_go(state, now)
    text = why(run, work)
    if step.on_failure == "rollback" and state.phase is Phase.PROMOTING:
        return failed(state, step, now, Reason.ROLL_STUCK, text)
    stuck, left = _stuck(state, now, text), again(state, now)
    return replace(stuck, wake=left) if left > 0 else let_go(stuck.state, now)


def _roll(state: State, step: Step, work: Workload, seen: Seen, now: float) -> Decision:
    """The roll goes on; failed gates and a stuck roll do what the step says."""
    state, bad = glance(state, step, seen, now)
    if bad is not None and state.phase is Phase.PROMOTING:
        return gate_failed(state, step, now, bad)
    if not work.stuck and now - state.since <= step.deadline:
        return wait(state, "the Deployment rolls")
    text = f"the Deployment's roll does not finish: {work.stuck or 'deadline passed'}"
    if step.on_failure == "rollback" and state.phase is Phase.PROMOTING:
        return failed(state, step, now, Reason.ROLL_STUCK, text)
    return _stuck(state, now, text)


def _stuck(state: State, now: float, text: str) -> Decision:
    if state.phase is Phase.HELD:
        return wait(state, text, 5.0)
    text += "; traffic stays where it is served"
    held = happen(state, Event.STOPPED, now, Reason.ROLL_STUCK, text, warning=True)
    return Decision(replace(held, failed=held.notes[-1]), wake=5.0)
