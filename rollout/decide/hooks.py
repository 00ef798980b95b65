"""Hooks: who is called when, and what the answers mean.

A call is written down before it is made, and its answer before anything comes of it: one that has answered is never
made again.  One that nobody knows of any more (the engine died meanwhile) is made again under the same number, by which
the receiver knows it.  While a hook is waited for, routes, candidate and gates are watched as ever.

What is called at the end (`after`, `onRollback`) is called when the traffic is home and nothing of the run is left: it
can make the end later, by its own time, and never unsafe.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout.decide.action import CallHook, DropHook
from rollout.decide.event import Event
from rollout.decide.failing import failed
from rollout.decide.instructions import gone, in_place
from rollout.decide.reason import Reason
from rollout.decide.seen import HookAnswer, Seen
from rollout.decide.told import body
from rollout.decide.turn import MOMENT, Decision, go_home, note, until, wait
from rollout.decide.watch import watch
from rollout.plan.base import spell
from rollout.plan.called import Hook, JobCall
from rollout.plan.program import Call, Step
from rollout.plan.run import HookState, Phase, RunSpec, State

GRACE: Final = 5.0
"""Seconds beyond its time after which a call counts as failed, whoever was to say so."""
REPEATS: Final = 5
"""So often a call that nobody knows of is made again."""
_LONGEST: Final = 60.0
"""Seconds between two tries, at most."""
_END: Final = -1
"""The step of what is called at the end."""


def call(run: RunSpec, state: State, step: Step, wanted: Call, seen: Seen, now: float) -> Decision | None:
    """Have a hook say yes. A person's `promote` stands for it."""
    if state.approved or state.full:
        return None
    hook = run.program.hook(wanted.hook)
    turn = _ask(run, state, hook, seen, now)
    if turn is None:
        known = state.hooks[hook.name]
        if known.verdict == "passed":
            return None
        if hook.when != "confirm":
            return (
                None
                if hook.on_failure == "ignore"
                else failed(state, step, now, Reason.HOOK_FAILED, _says(hook, known))
            )
        left = until(known.at + hook.every, now)
        if left <= 0:
            turn = _begin(run, state, hook, _following(state, hook, state.step), now)
        else:
            text = f"{_says(hook, known)}; it is asked again, rollout promote {run.plan} goes on without it"
            turn = wait(state, text, left)
    return turn if turn.actions or turn.wake <= 0 else _meanwhile(run, turn, step, seen, now)


def _meanwhile(run: RunSpec, waiting: Decision, step: Step, seen: Seen, now: float) -> Decision:
    """Look after what is there while a hook is waited for."""
    state = waiting.state
    turn = in_place(run, state, seen, now) if run.program.workload or state.weight > 0 else None
    if turn is None and run.program.workload:
        turn = gone(state, step, seen.candidate, now)
    if turn is not None:
        return turn
    looked = watch(state, step, seen, now)
    if isinstance(looked, State):
        return wait(looked, state.message, waiting.wake)
    if looked.state.phase is not state.phase:
        return looked
    return replace(
        looked, state=replace(looked.state, message=state.message), wake=min(looked.wake or MOMENT, waiting.wake)
    )


def during(run: RunSpec, state: State, step: Step, seen: Seen, now: float) -> Decision | None:
    """Call the step's hooks as often as they want to be; a turn, or None when none is needed."""
    if state.approved or state.full:
        return None
    for hook in map(run.program.hook, step.during):
        turn = _ask(run, state, hook, seen, now)
        if turn is not None:
            if turn.actions or turn.wake <= 0:
                return turn
            continue
        known = state.hooks[hook.name]
        if hook.when == "askRollback" and known.verdict == "passed":
            text = f"hook {hook.name} asked for it: {known.text}"
            return go_home(state, Event.FAILED, now, Phase.ROLLED_BACK, Reason.HOOK_ASKED, text)
        if hook.when == "during" and hook.on_failure != "ignore" and known.failures >= hook.failures:
            return failed(state, replace(step, on_failure=hook.on_failure), now, Reason.HOOK_FAILED, _says(hook, known))
        if until(known.at + hook.every, now) <= 0:
            return _begin(run, state, hook, _following(state, hook, state.step), now)
    return None


def unanswered(run: RunSpec, state: State, step: Step) -> str:
    """Which hook of the step has yet to say yes before it may pass; empty when none has."""
    if state.approved or state.full:
        return ""
    for hook in map(run.program.hook, step.during):
        known = state.hooks.get(hook.name)
        if hook.when != "during" or hook.on_failure == "ignore":
            continue
        ours = known is not None and _is_of(known, state.step, state.since)
        if known is None or not ours or known.failures or not (known.verdict or known.answered):
            return f"waits for hook {hook.name}" + (f": {known.text}" if known is not None and known.text else "")
    return ""


def last(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """What is called at the end, and the Jobs that are still there; None when there is nothing left of it."""
    went_home = state.phase is Phase.ROLLING_BACK
    for hook in run.program.hooks if state.floor else ():
        if hook.when == "after" or (hook.when == "onRollback" and went_home):
            turn = _ask(run, state, hook, seen, now, _END)
            if turn is not None:
                return turn
    for name, known in state.hooks.items():
        turn = _removed(state, run.program.hook(name), known, seen)
        if turn is not None:
            return turn
    return None


def _ask(run: RunSpec, state: State, hook: Hook, seen: Seen, now: float, place: int | None = None) -> Decision | None:
    """The turn that it takes until the hook has answered for good; None when it has."""
    step = state.step if place is None else place
    known, answer = state.hooks.get(hook.name), seen.hooks.get(hook.name)
    if known is None or not _is_of(known, step, state.since):
        left = None if known is None else _removed(state, hook, known, seen)
        return left or _begin(run, state, hook, _following(state, hook, step), now)
    if known.verdict == "passed":
        return _removed(state, hook, known, seen)
    if known.verdict == "failed":
        if known.tries > hook.retries:
            return None
        pause = until(known.at + min(2.0 ** (known.tries - 1), _LONGEST), now)
        if pause > 0:
            return wait(state, f"{_says(hook, known)}; it is tried again", pause)
        again = replace(_following(state, hook, step), tries=known.tries + 1)
        return _removed(state, hook, known, seen) or _begin(run, state, hook, again, now)
    return _heard(run, state, hook, known, answer, now)


def _heard(run: RunSpec, state: State, hook: Hook, known: HookState, answer: HookAnswer | None, now: float) -> Decision:
    """What comes of how a call stands."""
    if answer is not None and answer.status in ("passed", "failed"):
        return _answered(state, hook, known, now, yes=answer.status == "passed", text=answer.text)
    if answer is not None and answer.status == "absent":
        if known.there:
            text = f"its Job {answer.text} was deleted before it was done"
            return _answered(state, hook, known, now, yes=False, text=text)
        if known.repeats >= REPEATS:
            text = f"it was called {REPEATS + 1} times, and each time nobody knew of it afterwards"
            return _answered(state, hook, known, now, yes=False, text=text)
        repeated = replace(known, number=known.number - 1, repeats=known.repeats + 1)
        return _begin(run, state, hook, repeated, now)
    if now - known.begun > hook.timeout + GRACE:
        done = "was not done" if isinstance(hook.how, JobCall) else "did not answer"
        return _answered(state, hook, known, now, yes=False, text=f"it {done} within {spell(hook.timeout)}")
    if answer is not None and isinstance(hook.how, JobCall) and not known.there:
        return Decision(_with(state, hook, replace(known, there=True)))
    return wait(state, _waits(hook, known))


def _answered(state: State, hook: Hook, known: HookState, now: float, *, yes: bool, text: str) -> Decision:
    """Write the answer down. Of what is asked again and again only a change is a line of the story."""
    failures = 0 if yes else known.failures + 1
    after = replace(known, verdict="passed" if yes else "failed", text=text, at=now, failures=failures, answered=True)
    state = _with(state, hook, after)
    if hook.when == "askRollback" or (yes and known.answered and not known.failures):
        return Decision(state)
    if yes:
        return Decision(note(state, now, Reason.HOOK_PASSED, _says(hook, after)))
    if hook.when == "confirm":
        return Decision(note(state, now, Reason.HOOK_WAITS, _says(hook, after)) if not known.failures else state)
    return Decision(note(state, now, Reason.HOOK_FAILED, _says(hook, after), warning=True))


def _removed(state: State, hook: Hook, known: HookState, seen: Seen) -> Decision | None:
    """See to it that the Job of a call is gone; None when it is."""
    if known.gone or not isinstance(hook.how, JobCall):
        return None
    answer = seen.hooks.get(hook.name)
    if answer is None:
        return wait(state, f"the Job of hook {hook.name} is being removed")
    if answer.status == "absent":
        return Decision(_with(state, hook, replace(known, gone=True)))
    return Decision(state, (DropHook(hook, known.number),), MOMENT)


def _following(state: State, hook: Hook, step: int) -> HookState:
    """The call after the latest one, whose number `_begin` raises."""
    known = state.hooks.get(hook.name)
    if known is None:
        return HookState(0, step, state.since, 0.0)
    fresh = HookState(known.number, step, state.since, 0.0)
    if not _is_of(known, step, state.since):
        return fresh
    return replace(fresh, failures=known.failures, answered=known.answered, text=known.text)


def _begin(run: RunSpec, state: State, hook: Hook, known: HookState, now: float) -> Decision:
    """Write down that it is called, then call."""
    known = replace(known, number=known.number + 1, begun=now, verdict="")
    state = replace(_with(state, hook, known), message=_waits(hook, known))
    return Decision(state, (CallHook(hook, known.number, body(run, state, hook)),), MOMENT)


def _with(state: State, hook: Hook, known: HookState) -> State:
    return replace(state, hooks={**state.hooks, hook.name: known})


def _is_of(known: HookState, step: int, since: float) -> bool:
    return known.step == step and (step == _END or known.attempt == since)


def _waits(hook: Hook, known: HookState) -> str:
    return f"waits for hook {hook.name}" + (f", which said before: {known.text}" if known.failures else "")


def _says(hook: Hook, known: HookState) -> str:
    if known.verdict == "passed":
        return f"hook {hook.name} passed: {known.text}"
    return f"hook {hook.name} {'has not said yes' if hook.when == 'confirm' else 'failed'}: {known.text}"
