"""What to do next: the commands that make sense for a run as it stands."""

from __future__ import annotations

from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.run import Phase


def went_back(view: RunView) -> bool:
    """Whether somebody undid the run, while it was under way or after its end."""
    return view.state.undo or any(it.reason == Reason.UNDO_ORDERED for it in view.state.notes)


def nexts(view: RunView, *, driven: bool | None = None) -> list[str]:
    """The commands that make sense now."""
    at, plan, state = f"-n {view.namespace}", view.spec.plan, view.state
    resume = [f"rollout start {plan} {at}     (nobody drives this run; this resumes it)"] if driven is False else []
    if view.spec.program.adoption is not None:
        return _of_adoption(view, resume)
    why = f"rollout why {view.name} {at}"
    promote = f'go on: rollout promote {plan} {at} --reason "..."'
    # past the commit point an abort is refused
    abort = [] if state.committed else [f'stop: rollout abort {plan} {at} --reason "..."']
    match state.phase:
        case Phase.ROLLED_BACK | Phase.ABORTED:
            fix = f"after a fix: rollout start {plan} {at} --image CONTAINER=IMAGE"
            git = f"so that Git agrees: rollout handoff {plan} {at}"
            return [why, fix, git if went_back(view) else f"as it is: rollout retry {plan} {at}"]
        case Phase.SUPERSEDED:
            return [f"rollout start {plan} {at}     (for the newer version)"]
        case Phase.SUCCEEDED:
            return [f"{why}     (the whole story)"]
        case Phase.HELD if state.committed:
            roll = f"kubectl describe deployment {view.spec.program.workload} {at}"
            return [why, f"see what it lacks: {roll}", f"then: rollout start {plan} {at}"]
        case Phase.HELD:
            return [why, f"try again: rollout retry {plan} {at}", promote, *abort, *resume]
        case Phase.AWAITING_APPROVAL:
            return [promote, *abort, *resume]
        case Phase.HOLDING:
            return [why, *abort, *resume]
        case Phase.PAUSED:
            return [f"go on: rollout resume {plan} {at}", *abort, *resume]
        case Phase.PENDING | Phase.PROGRESSING | Phase.PROMOTING | Phase.ROLLING_BACK:
            back = state.phase is Phase.ROLLING_BACK
            return [*(resume or [f"rollout watch {plan} {at}"]), *([] if back else abort)]


def _of_adoption(view: RunView, resume: list[str]) -> list[str]:
    """Of an adoption what was reached stays, unless somebody wants all of it undone."""
    at, plan = f"-n {view.namespace}", view.spec.plan
    why = f"rollout why {view.name} {at}"
    undo = f'undo all of it: rollout abort {plan} {at} --reason "..."'
    match view.state.phase:
        case Phase.ROLLED_BACK | Phase.ABORTED | Phase.SUPERSEDED:
            return [why, f"again, as it is: rollout retry {plan} {at}", "or change the plan, and apply it"]
        case Phase.SUCCEEDED:
            return [f"so that Git agrees: rollout handoff {plan} {at}", f"see it: rollout mesh report {at}", why]
        case Phase.HELD:
            leave_out = f"leave this step out: rollout skip {plan} {at}"
            return [why, f"try again: rollout retry {plan} {at}", leave_out, undo, *resume]
        case Phase.AWAITING_APPROVAL:
            return [f'go on: rollout promote {plan} {at} --reason "..."', undo, *resume]
        case Phase.HOLDING:
            return [why, f"who is in the way: rollout mesh report {at}", undo, *resume]
        case Phase.PAUSED:
            return [f"go on: rollout resume {plan} {at}", undo, *resume]
        case Phase.ROLLING_BACK:
            return resume or [f"rollout watch {plan} {at}"]
        case Phase.PENDING | Phase.PROGRESSING | Phase.PROMOTING:
            return [*(resume or [f"rollout watch {plan} {at}"]), undo]
