"""A plan without a run under way: does one begin, and if not, why?  Pure, like `engine.decide`.

A revision is tried once.  What failed, was aborted or was undone stays where it is until somebody orders a retry or
asks for another revision; what Git re-applies meanwhile changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rollout.decide.reason import Reason
from rollout.decide.seen import Workload
from rollout.plan.program import Backends
from rollout.plan.run import Phase, RunSpec, State

Act = Literal["rest", "start", "let go", "wait", "stay", "undo"]


@dataclass(frozen=True, slots=True)
class Rest:
    """What the plan does.

    `rest`: nothing is asked that does not run.  `start`: a run begins.  `let go`: what is held need not be tried.
    `wait`: something is under way that is not ours.  `stay`: the last run's end stands, its status is the plan's.
    `undo`: an order to go back was taken, and the earlier template is not written yet.
    """

    act: Act
    reason: Reason
    message: str
    forgone: str = ""
    """Why the retry that was ordered cannot begin any more; empty when it can, or still may."""


@dataclass(frozen=True, slots=True)
class Last:
    """The newest run of the plan; it has ended."""

    spec: RunSpec
    state: State


def rest_of_workload(name: str, work: Workload | None, last: Last | None, *, again: bool) -> Rest:
    """For a plan with a target; `again`: a retry of the last run is ordered."""
    what = f"Deployment/{name}"
    rest = _rest(what, work, last, again=again)
    return replace(rest, forgone=_forgone(what, work, last, rest)) if again and last is not None else rest


def _forgone(what: str, work: Workload | None, last: Last, rest: Rest) -> str:
    """A retry is for the version of its run, now: it must not wait for the day on which that is asked for again."""
    if work is None:
        return rest.message
    if work.digest != last.spec.revision.digest:
        return f"{what} does not ask for the version of this run any more; ask for it again, then retry"
    return "" if rest.act in ("start", "wait") else rest.message


def _rest(what: str, work: Workload | None, last: Last | None, *, again: bool) -> Rest:
    if work is None:
        return Rest("wait", Reason.TARGET_GONE, f"{what} does not exist")
    with_pods = [rs for rs in work.replica_sets if rs.replicas > 0]
    if not work.replica_sets or not work.settled:
        return Rest("wait", Reason.NOT_HELD, f"{what} is being set up by its controller")
    if work.held and not with_pods and work.desired == 0:
        return Rest("let go", Reason.RELEASED, f"{what} has no pods, so there is nothing to try a new version beside")
    if len(with_pods) > 1 or (with_pods and with_pods[0].digest != work.digest and not work.held):
        return Rest("wait", Reason.BYPASSED, f"{what} rolls by itself: this revision was not held")
    if not with_pods:
        return Rest("rest", Reason.IDLE, f"{what} has no pods")
    if with_pods[0].digest == work.digest:
        return _running(what, work, last)
    return _asked(what, work, with_pods[0].digest, last, again=again)


def _running(what: str, work: Workload, last: Last | None) -> Rest:
    """Nothing is held."""
    if last is not None and last.state.undo_to and last.spec.revision.digest == work.digest:
        return Rest("undo", Reason.UNDO_ORDERED, f"{what} goes back to an earlier revision")
    if last is not None and last.state.phase is Phase.SUCCEEDED and last.spec.revision.digest == work.digest:
        return Rest("stay", Reason.PROMOTED, last.state.message)
    return Rest("rest", Reason.IDLE, f"{what} runs what it asks for; its next revision is tried step by step")


def _asked(what: str, work: Workload, stable: str, last: Last | None, *, again: bool) -> Rest:
    """A revision is held."""
    start = Rest("start", Reason.STARTED, f"{what} holds a new revision")
    if last is None or again or last.state.undo_to == work.digest:
        return start
    if last.spec.revision.undoes == work.digest:
        text = f"{what} asks for the revision that was undone; make Git agree: rollout handoff {last.spec.plan}"
        return Rest("stay", Reason.UNDO_ORDERED, text)
    if last.state.undo_to == stable and last.spec.revision.digest == work.digest:
        return Rest("undo", Reason.UNDO_ORDERED, f"{what} asks again for what runs")
    same = last.spec.revision.digest == work.digest and last.spec.revision.stable_digest == stable
    if same and last.state.phase in (Phase.ROLLED_BACK, Phase.ABORTED):
        return Rest("stay", Reason(last.state.reason), last.state.message)
    return start


def rest_of_routes(backends: Backends, generation: int, last: Last | None, *, again: bool) -> Rest:
    """For a traffic-only plan: the plan itself is what is asked for.

    What was shifted is not shifted again because the plan's steps were edited: that would begin by going back.
    """
    what = f"the traffic of {backends.service}"
    if last is None or again:
        return Rest("start", Reason.STARTED, f"{what} is to be shifted")
    before = last.spec.program.split
    same = (before.service, before.stable, before.candidate) == (backends.service, backends.stable, backends.candidate)
    if same and (last.state.phase is Phase.SUCCEEDED or last.spec.plan_generation >= generation):
        return Rest("stay", Reason(last.state.reason), last.state.message)
    return Rest("start", Reason.STARTED, f"{what} is to be shifted")
