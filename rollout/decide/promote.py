"""The commit point: the Deployment is released and rolls, with nothing in the data path depending on it.

`shift`: all traffic is on the candidate, at full size and proved; the roll happens unseen, and only then the route
goes home.  `native`: the route goes home first and the Deployment rolls under the plain Service.
A roll that sticks leaves the traffic where it is served and asks for a person; it goes on by itself when the roll does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from rollout.decide.action import ReleaseHold, Unroute
from rollout.decide.event import Event
from rollout.decide.instructions import in_place
from rollout.decide.orders import enter
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen
from rollout.decide.turn import MOMENT, Decision, happen, until, wait
from rollout.decide.unwind import unwind
from rollout.plan.program import Conclude
from rollout.plan.run import Phase, RunSpec, State


def release(run: RunSpec, state: State, mode: Literal["shift", "native"], seen: Seen, now: float) -> Decision:
    """Pass the commit point: remembered before it is done."""
    if mode == "shift":
        turn = in_place(run, state, seen, now)
        if turn is not None:
            return turn
    elif seen.route.where != "home":
        return Decision(replace(state, settled=now + run.program.settings.settle), (Unroute(),), MOMENT)
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
    work = seen.workload
    if work is None or work.uid != run.revision.workload_uid:
        return _stuck(state, now, f"Deployment/{run.program.workload} is gone or was made anew")
    if work.digest != run.revision.digest:
        return _stuck(state, now, "a newer revision came while the promoted one was rolling; let it run or revert it")
    if work.paused and not work.rolled:
        return Decision(state, (ReleaseHold(),), MOMENT)
    if work.rolled:
        if state.phase is Phase.HELD:
            state = happen(state, Event.RELEASED, now, Reason.RELEASED, "the Deployment's roll goes on")
        text = f"the Deployment has rolled: {work.desired} pods ready"
        return Decision(enter(happen(state, Event.STEP_DONE, now, Reason.STEP_PASSED, text), state.step + 1, now))
    if work.stuck or now - state.since > step.deadline:
        return _stuck(state, now, f"the Deployment's roll does not finish: {work.stuck or 'deadline passed'}")
    return wait(state, "the Deployment rolls")


def _stuck(state: State, now: float, text: str) -> Decision:
    if state.phase is Phase.HELD:
        return wait(state, text, 5.0)
    text += "; traffic stays where it is served"
    held = happen(state, Event.STOPPED, now, Reason.ROLL_STUCK, text, warning=True)
    return Decision(replace(held, failed=held.notes[-1]), wake=5.0)
