"""How the instructions prepare, route and approve come true.  Each returns a turn, or None when the world shows it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from rollout.decide.action import Size, Steer
from rollout.decide.broken import down, unpinned
from rollout.decide.event import Event
from rollout.decide.failing import failed
from rollout.decide.reason import Reason
from rollout.decide.seen import CandidateView, Seen, Workload
from rollout.decide.turn import MOMENT, Decision, block, happen, note, spent, unblock, until, wait
from rollout.decide.watch import watch
from rollout.plan.program import LEAST, Approve, Settings, Step
from rollout.plan.run import Phase, RunSpec, State

HEALS: Final = 5
"""So often in a row a route is put back that does not stay; then the run holds and says so."""
AGAIN: Final = 10.0
"""Seconds between two tries after that."""
_NOISE: Final = 1e-9
"""What the arithmetic of floats adds to a weight half-way between two that a router can give."""


def prepare(run: RunSpec, state: State, step: Step, percent: float, seen: Seen, now: float) -> Decision | None:
    """Pin first, then have enough ready candidate pods for `percent` of the traffic."""
    turn = in_place(run, state, seen, now)
    if turn is not None or seen.workload is None:
        return turn
    wanted = size(run.program.settings, seen.workload, percent)
    candidate = seen.candidate
    if candidate is not None and not candidate.ours:
        text = f"Deployment/{run.program.split.candidate.workload} exists and is not this run's; rename or delete it"
        return block(state, now, Reason.CANDIDATE_IN_THE_WAY, text)
    if candidate is None or candidate.replicas < wanted:
        return Decision(replace(state, sized=spent(state, now)), (Size(wanted),), MOMENT)
    if state.sized is None:  # asked for before, or by an engine that is gone: its time is not the candidate's
        state = replace(state, sized=spent(state, now))
    turn = _ready(run, state, step, candidate, wanted, now)
    if turn is not None:
        return turn
    if state.prepared < wanted:
        return Decision(replace(state, prepared=wanted, settled=now + run.program.settings.settle))
    return _settling(state, now)


def size(settings: Settings, work: Workload, percent: float) -> int:
    """Pods that serve `percent` of the traffic as loosely as stable serves all of it; at least one."""
    if percent >= 100:
        return max(1, work.desired)
    return settings.replicas or max(1, math.ceil(work.desired * percent / 100))


def _ready(
    run: RunSpec, state: State, step: Step, candidate: CandidateView, wanted: int, now: float
) -> Decision | None:
    trouble = candidate.trouble
    if trouble is not None and trouble.kind == "broken":
        return failed(state, step, now, Reason.CANDIDATE_BROKEN, trouble.message)
    turn = gone(state, step, candidate, now)
    if turn is not None:
        return turn
    if candidate.settled and candidate.ready >= wanted:
        return None
    text = f"candidate: {candidate.ready} of {wanted} pods ready"
    if trouble is not None:
        return block(state, now, Reason.CANDIDATE_BLOCKED, f"{text}: {trouble.message}")
    taken = spent(state, now) - (state.sized or 0.0)
    if taken > run.program.settings.ready_within and state.held_since is None:
        return failed(state, step, now, Reason.CANDIDATE_NOT_READY, f"{text} after {taken:.0f} s")
    return wait(state, text)


def gone(state: State, step: Step, candidate: CandidateView | None, now: float) -> Decision | None:
    """A candidate that has traffic and no ready pod to take it is a failure at once, whatever the step waits for."""
    if state.weight <= 0:
        return None
    if candidate is not None and candidate.ready > 0:
        text = f"the candidate's pods lost their traffic: {candidate.unreached}"
        return failed(state, step, now, Reason.CANDIDATE_UNREACHED, text) if candidate.lost else None
    text = "the candidate lost its last ready pod while it had traffic"
    trouble = candidate.trouble if candidate is not None else None
    return failed(state, step, now, Reason.CANDIDATE_GONE, f"{text}: {trouble.message}" if trouble else text)


def route(run: RunSpec, state: State, weight: float, seen: Seen, now: float) -> Decision | None:
    """Give the candidate its weight, never raising it while stable is below its floor."""
    if state.weight != weight:
        work = seen.workload
        stable = work.by_hash(run.revision.stable_hash) if work else None
        if work is not None and weight > state.weight:
            needed, ready = min(state.floor, work.desired), stable.ready if stable else 0
            if ready < needed and not state.full:
                text = f"stable has {ready} of {needed} pods ready; the weight stays at {state.weight:g} %"
                return block(state, now, Reason.STABLE_BELOW_FLOOR, text)
            if ready < needed:
                text = f"stable has {ready} of {needed} pods ready; promotion in full was ordered and goes on"
                state = note(state, now, Reason.STABLE_BELOW_FLOOR, text, warning=True)
        candidate = seen.candidate
        if candidate is not None and candidate.unreached and weight > state.weight:
            text = f"requests would not find the candidate's pods: {candidate.unreached}"
            return block(state, now, Reason.CANDIDATE_UNREACHED, f"{text}; the weight stays at {state.weight:g} %")
        state = replace(unblock(state, now), weight=weight, settled=now + run.program.settings.settle)
        state = note(state, now, Reason.WEIGHT_SET, f"{weight:g} % of the requests to the candidate")
        return Decision(state, (Steer(weight),))
    return in_place(run, state, seen, now) or _settling(state, now)


def in_place(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """See to it that the routes say what was asked; a foreign change is met by the plan's drift policy."""
    view = seen.route
    if run.program.backends is None or unpinned(run, state, seen):
        return None
    if view.where == "steered" and abs(view.weight - _routable(state.weight)) <= LEAST / 2 + _NOISE:
        if state.routed != state.weight:
            settled = now + run.program.settings.settle
            return Decision(replace(state, routed=state.weight, settled=settled))
        if state.heals and until(state.settled or 0.0, now) <= 0:
            return Decision(_settled(replace(state, heals=()), now))
        return None
    if state.routed != state.weight and not state.heals:  # our own write has not landed
        return _put(run, replace(state, routed=None), seen, now)
    if run.program.settings.drift == "heal":
        return _heal(run, state, seen, now)
    text = f"{view.drift or 'a route was changed'}; asked were {state.weight:g} %"
    if run.program.settings.drift == "hold":
        text += f"; rollout promote {run.plan} puts it back, rollout abort {run.plan} goes home"
        return block(state, now, Reason.DRIFT, text)
    already = any(n.reason == Reason.DRIFT and n.message == text for n in state.notes)
    return None if already else Decision(note(state, now, Reason.DRIFT, text, warning=True))


def _routable(weight: float) -> float:
    """The nearest weight that a router can give; it rounds the rest of the way."""
    return weight if weight in (0, 100) else min(max(weight, LEAST), 100 - LEAST)


def _heal(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """Put the routes back, and say so once; against somebody who writes faster than they settle it would be a fight."""
    heals, counts = state.heals, state.routed == state.weight  # it was in place, and was changed again
    if len(heals) >= HEALS:
        held = _fought(run, state, seen, now)
        left = AGAIN - (now - heals[-1])
        if left > 0:
            return replace(held, wake=min(left, held.wake))
        state = held.state
    text = f"{seen.route.drift or 'a route was changed'}; put back to {state.weight:g} %"
    if not any(n.reason == Reason.DRIFT and n.message == text for n in state.notes):
        state = note(state, now, Reason.DRIFT, text, warning=True)
    turn = _put(run, replace(state, routed=None), seen, now)
    counts |= bool(turn.actions) and now - heals[-1] > run.program.settings.settle if heals else False
    return replace(turn, state=replace(turn.state, heals=(*heals[:HEALS], now))) if counts else turn


def _settled(state: State, now: float) -> State:
    """The state when what was put back has stayed."""
    drifted = state.holding is not None and state.holding.reason == Reason.DRIFT
    return unblock(state, now) if drifted else state


def _fought(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    every = (state.heals[HEALS - 1] - state.heals[0]) / (HEALS - 1)
    what, settle = seen.route.drift or "a route was changed", run.program.settings.settle
    text = f"{what}; put back {HEALS} times, and somebody writes it again at least every {every:.0f} s, before it"
    text += (
        f" has settled ({settle:g} s): stop who does, let him ignore the fields that a run changes (examples/gitops),"
    )
    text += " or set router.drift of the plan; the run goes on by itself then"
    return block(state, now, Reason.DRIFT, text)


def _put(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """Write the routes. What they will name comes first, alone: a proxy that learns of both at once answers 503.

    Nothing is pinned to a stable without a ready pod: the plain Service leads to whoever serves.
    """
    if state.weight < 100 and down(run, seen):
        text = f"stable has no ready pod to pin requests to; rollout promote {run.plan} --full goes on without it"
        return block(state, now, Reason.STABLE_DOWN, text)
    if seen.route.where == "home" and run.program.workload:
        if not seen.route.leftovers:
            state = replace(state, settled=now + run.program.settings.settle)
        elif until(state.settled or 0.0, now) > 0:
            return wait(state, "subsets are settling", until(state.settled or 0.0, now))
    return Decision(state, (Steer(state.weight),), MOMENT)


def _settling(state: State, now: float) -> Decision | None:
    left = until(state.settled or 0.0, now)
    return wait(state, "routes are settling", left) if left > 0 else None


def approve(run: RunSpec, state: State, step: Step, wanted: Approve, seen: Seen, now: float) -> Decision | None:
    """Wait for a person while the gates go on looking."""
    if state.approved or state.full:
        return None
    if state.phase is Phase.PROGRESSING:
        return Decision(ask(run, state, now))
    left = max(0.0, wanted.within - spent(state, now))
    if left <= 0:
        text = f"nobody approved within {wanted.within:.0f} s"
        if wanted.otherwise == "rollback":
            # a canary goes home; an adoption says itself whether what was reached is kept
            expired = step if run.program.adoption is not None else replace(step, on_failure="rollback")
            return failed(state, expired, now, Reason.APPROVAL_EXPIRED, text)
        text += "; the plan says promote"
        approved = replace(state, approved=True)
        return Decision(happen(approved, Event.APPROVED, now, Reason.APPROVAL_EXPIRED, text))
    turn = in_place(run, state, seen, now)
    if turn is None and run.program.workload:
        turn = gone(state, step, seen.candidate, now)
    if turn is not None:
        return turn
    looked = watch(state, step, seen, now)
    return wait(looked, state.message, min(left, 5.0)) if isinstance(looked, State) else looked


def ask(run: RunSpec, state: State, now: float) -> State:
    """The state that waits for a person."""
    text = f"waits for approval: rollout promote {run.plan} -n {run.program.namespace}"
    return happen(state, Event.APPROVAL_NEEDED, now, Reason.APPROVAL_NEEDED, text)
