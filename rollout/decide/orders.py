"""What people order: each order is bound to a run and consumed once.

Bound: the observer passes on only what names this run's UID and plan.  An order that names a step is for that step
alone; one that lets the run go on and names none is for the step at which it was given.

Consumed once: a run remembers all its orders to its end, by UID and by content, so that a decision which Git creates
again is no new order.  What it remembers is bounded by `MOST`; a run that had so many hears an abort only, because
forgetting would be worse than not listening.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from rollout.decide.answer import refusal, refuse, reversible, told, too_late
from rollout.decide.event import Event
from rollout.decide.onward import promote, retry, skip
from rollout.decide.pause import pause, resume
from rollout.decide.phase import allows
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, Seen
from rollout.decide.turn import Decision, go_home
from rollout.plan.run import Phase, RunSpec, State

MOST: Final = 400
"""So many entries of consumed decisions, two for each, are about 10 KiB of a run's record."""
SKEW: Final = 2.0
"""Seconds by which the API server's clock (whole seconds) may be behind the engine's."""


def obey(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """What the first order that was not consumed yet leads to; None when there is none."""
    order = next((o for o in seen.orders if _new(state, o)), None)
    if order is None:
        return None
    known = _known(state, order)
    marks = (order.uid,) if known or not order.content else (order.uid, order.content)
    state = replace(state, decisions=(*state.decisions, *marks))
    if known:
        return refuse(state, order, _again(order), now)
    why = _stale(state, order, now)
    return refuse(state, order, why, now) if why else _obey(run, state, order, seen, now)


def _new(state: State, order: Order) -> bool:
    """Not consumed; of one that was created again it is said once that it is not heard again."""
    if order.uid in state.decisions or (len(state.decisions) >= MOST and order.verb != "abort"):
        return False
    text = refusal(order, _again(order))
    return not _known(state, order) or not any(n.message == text for n in state.notes)


def _known(state: State, order: Order) -> bool:
    return bool(order.content) and order.content in state.decisions


def _again(order: Order) -> str:
    return f"PlanDecision/{order.name} says what this run has heard before; a new order has another name"


def _stale(state: State, order: Order, now: float) -> str:
    if order.flaw:
        return order.flaw
    if order.expires is not None and now > order.expires:
        return "it has expired"
    if order.step is not None and order.step != state.step:
        return f"it was given for step {order.step + 1}, the run is at step {state.step + 1}"
    onward = order.verb in ("promote", "skip", "retry") and not order.full
    early = order.created is not None and order.created + SKEW < state.since
    if onward and order.step is None and early:
        return f"it names no step and was given before step {state.step + 1} began"
    return ""


def _obey(run: RunSpec, state: State, order: Order, seen: Seen, now: float) -> Decision:
    match order.verb:
        case "abort":
            return _abort(run, state, order, now)
        case "undo":
            return _undo(run, state, order, seen, now)
        case "promote":
            return promote(run, state, order, seen, now)
        case "pause":
            return pause(run, state, order, now)
        case "resume":
            return resume(run, state, order, now)
        case "retry":
            return retry(run, state, order, now)
        case "skip":
            return skip(run, state, order, now)
        case _:
            assert_never(order.verb)


def _abort(run: RunSpec, state: State, order: Order, now: float) -> Decision:
    why = _no_way_back(run, state)
    if why:
        return refuse(state, order, why, now)
    return go_home(state, Event.ABORTED, now, Phase.ABORTED, Reason.ABORT_ORDERED, told("aborted", order))


def _undo(run: RunSpec, state: State, order: Order, seen: Seen, now: float) -> Decision:
    """Abort, and at the end write the stable template again, so that nothing is left to hold."""
    why = _no_way_back(run, state) or _other_revision(run, order, seen)
    if why:
        return refuse(state, order, why, now)
    text = told("undone", order)
    if run.program.workload:
        handoff = f"rollout handoff {run.plan} -n {run.program.namespace}"
        text += f"; Deployment/{run.program.workload} asks for the stable version again; a Git that asks for the new"
        text += f" one brings it back: {handoff} says what to commit"
    state = replace(state, undo=bool(run.program.workload))
    return go_home(state, Event.ABORTED, now, Phase.ABORTED, Reason.UNDO_ORDERED, text)


def _no_way_back(run: RunSpec, state: State) -> str:
    late = too_late(run, state)
    if late and not (state.committed and reversible(run, state)):
        return f"{late}; when it has ended: rollout undo {run.plan}"
    home = state.phase is Phase.ROLLING_BACK and not state.back
    return "" if allows(state.phase, Event.ABORTED) and not home else f"the run is {state.phase}"


def _other_revision(run: RunSpec, order: Order, seen: Seen) -> str:
    """Going home leads to stable and nowhere else."""
    stable = seen.workload.by_hash(run.revision.stable_hash) if seen.workload else None
    if order.to_revision is None or (stable is not None and stable.revision == order.to_revision):
        return ""
    number = f"revision {stable.revision}" if stable else "the stable version"
    return f"while the run is under way it leads to {number} only; abort it first, then undo"
