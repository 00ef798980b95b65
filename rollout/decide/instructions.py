"""How the instructions prepare, route and approve come true.  Each returns a turn, or None when the world shows it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from rollout.decide.action import Size, Steer
from rollout.decide.approval import asks
from rollout.decide.broken import down, unpinned
from rollout.decide.event import Event
from rollout.decide.failing import failed
from rollout.decide.reason import Reason
from rollout.decide.seen import CandidateView, Seen, Workload
from rollout.decide.seen import Route as RouteSeen
from rollout.decide.turn import MOMENT, Decision, block, happen, note, spent, unblock, until, wait
from rollout.decide.watch import watch
from rollout.plan.program import LEAST, Approve, Route, Settings, Step
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
    if state.weight <= 0 and not state.matched:
        return None
    if candidate is not None and candidate.ready > 0:
        text = f"the candidate's pods lost their traffic: {candidate.unreached}"
        return failed(state, step, now, Reason.CANDIDATE_UNREACHED, text) if candidate.lost else None
    text = "the candidate lost its last ready pod while it had traffic"
    trouble = candidate.trouble if candidate is not None else None
    return failed(state, step, now, Reason.CANDIDATE_GONE, f"{text}: {trouble.message}" if trouble else text)


def route(run: RunSpec, state: State, wanted: Route, seen: Seen, now: float) -> Decision | None:
    """Give the candidate its weight, never raising it while stable is below its floor; what matches, and copies."""
    weight, asked = wanted.weight, (state.weight, state.matched, state.mirrored)
    if asked != (weight, wanted.matched, wanted.mirror):
        turn = _floor(run, state, seen, now) if weight > state.weight else state
        if isinstance(turn, Decision):
            return turn
        state, candidate = turn, seen.candidate
        more = weight > state.weight or wanted.matched > state.matched or wanted.mirror > state.mirrored
        if candidate is not None and candidate.unreached and more:
            text = f"requests would not find the candidate's pods: {candidate.unreached}"
            return block(state, now, Reason.CANDIDATE_UNREACHED, f"{text}; the weight stays at {state.weight:g} %")
        routed = state.routed if (wanted.matched, wanted.mirror) == asked[1:] else None
        state = replace(unblock(state, now), weight=weight, matched=wanted.matched, mirrored=wanted.mirror)
        told = note(replace(state, routed=routed), now, Reason.WEIGHT_SET, _told(wanted))
        state = replace(told, settled=now + run.program.settings.settle)
        return Decision(state, (Steer(weight, wanted.matched, wanted.mirror),))
    return in_place(run, state, seen, now) or _settling(state, now)


def _floor(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | State:
    """Stop where stable has too few pods for more weight, unless promotion in full was ordered."""
    work = seen.workload
    if work is None:
        return state
    stable = work.by_hash(run.revision.stable_hash)
    needed, ready = min(state.floor, work.desired), stable.ready if stable else 0
    if ready >= needed:
        return state
    text = f"stable has {ready} of {needed} pods ready"
    if not state.full:
        return block(state, now, Reason.STABLE_BELOW_FLOOR, f"{text}; the weight stays at {state.weight:g} %")
    text += "; promotion in full was ordered and goes on"
    return note(state, now, Reason.STABLE_BELOW_FLOOR, text, warning=True)


def _told(wanted: Route) -> str:
    also = ", and all that match" if wanted.matched else ""
    copies = f", and copies of {wanted.mirror:g} % of them" if wanted.mirror else ""
    return f"{wanted.weight:g} % of the requests to the candidate{also}{copies}"


def in_place(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """See to it that the routes say what was asked; a foreign change is met by the plan's drift policy."""
    view = seen.route
    if run.program.backends is None or unpinned(run, state, seen):
        return None
    if _as_asked(state, view):
        if view.pending or view.refused:
            return _not_held(run, state, seen, now)
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


def _as_asked(state: State, view: RouteSeen) -> bool:
    """Whether the routes say what was asked, as near as a router can."""
    near = LEAST / 2 + _NOISE
    weighs = abs(view.weight - _routable(state.weight)) <= near and abs(view.mirrored - state.mirrored) <= near
    return view.where == "steered" and view.matched == state.matched and weighs


def _not_held(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """What is written is not obeyed, or not yet.  A refusal that lasts is a failure: its requests are answered 500."""
    view, left = seen.route, until(state.settled or 0.0, now)
    if view.pending or left > 0:
        return wait(state, f"the routes do not hold yet: {view.pending or view.refused}")
    step, text = run.program.steps[state.step], f"the routes are refused: {view.refused}"
    return failed(state, step, now, Reason.ROUTE_REFUSED, text)


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
    wake = MOMENT
    if seen.route.where == "home" and run.program.workload:
        if not seen.route.leftovers:
            settle = run.program.settings.settle
            state, wake = replace(state, settled=now + settle), min(settle, MOMENT) or MOMENT
        elif until(state.settled or 0.0, now) > 0:
            return wait(state, "subsets are settling", until(state.settled or 0.0, now))
        elif not any(line.kind == "route" for line in state.journal):
            wake = 0.0  # the first write is read back at once; one that did not stay waits: it must not be a fight
    return Decision(state, (Steer(state.weight, state.matched, state.mirrored),), wake)


def _settling(state: State, now: float) -> Decision | None:
    left = until(state.settled or 0.0, now)
    return wait(state, "routes are settling", left) if left > 0 else None


def approve(run: RunSpec, state: State, step: Step, wanted: Approve, seen: Seen, now: float) -> Decision | None:
    """Wait for a person while the gates go on looking."""
    if state.approved or state.full:
        return None
    if state.phase is Phase.PROGRESSING:
        return Decision(ask(run, state, wanted, now))
    left = max(0.0, wanted.within - spent(state, now))
    if left <= 0:
        who = f"{len(state.approvals)} of {wanted.count}" if wanted.count > 1 else "nobody"
        text = f"{who} approved within {wanted.within:.0f} s"
        if wanted.otherwise == "hold":
            held = replace(step, on_failure="hold")
            return failed(state, held, now, Reason.APPROVAL_EXPIRED, f"{text}; {asks(run, state, wanted)}")
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


def ask(run: RunSpec, state: State, wanted: Approve, now: float) -> State:
    """The state that waits for a person."""
    text = asks(run, state, wanted)
    return happen(state, Event.APPROVAL_NEEDED, now, Reason.APPROVAL_NEEDED, text)
