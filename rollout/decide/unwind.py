"""Going home: the journal played backwards, after a failure and after a promotion alike.

Backwards means: weight home, drain, delete the candidate, give the routes back, sweep.  In that order no request can
meet a pod that is going away, and the plain Service never leads to a candidate that was not proved.

After the commit point, and when the pin is lost, the routes come first: there the plain Service is the safe place.
A release that must be taken back comes before everything else: the Deployment rolls back to the stable template.
A line of the journal is struck out only when the world shows that it is undone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from rollout.decide import hooks
from rollout.decide.action import EndHold, HoldAgain, Rearm, Retire, Steer, Sweep, TakeBack, Unroute
from rollout.decide.adopt import undo_line
from rollout.decide.event import Event
from rollout.decide.reason import Reason
from rollout.decide.releasing import let_go_in_time
from rollout.decide.seen import Seen, Workload
from rollout.decide.turn import MOMENT, Decision, block, happen, note, unrouted, until, wait
from rollout.plan.base import label_value
from rollout.plan.run import Entry, Phase, RunSpec, State


def unwind(run: RunSpec, state: State, seen: Seen, now: float, *, routes_first: bool) -> Decision:
    """The next thing to undo, or the end of the run."""
    entry = _next(state.journal, routes_first=routes_first)
    if entry is None:
        return _finish(run, state, seen, now)
    match entry.kind:
        case "weight" | "route":
            return _home(run, state, entry, seen, now)
        case "candidate":
            return _retire(run, state, seen, now, routes_first=routes_first)
        case "subsets":
            if not seen.route.leftovers:
                return _struck(run, state, ("subsets",), now)
            if until(state.settled or 0.0, now) > 0:
                return wait(state, "routes are settling", until(state.settled or 0.0, now))
            return Decision(state, (Sweep(),), MOMENT)
        case "mesh":
            return undo_line(state, entry, seen, now)
        case "release":
            return _take_back(run, state, seen, now) or _struck(run, state, ("release",), now)
        case _:
            assert_never(entry.kind)


def _home(run: RunSpec, state: State, entry: Entry, seen: Seen, now: float) -> Decision:
    """Take the weight, or our part in the routes, away; struck out when it is written and nothing else is obeyed."""
    home = seen.route.where == "home"
    if entry.kind == "weight" and not home and not _pinned(seen):
        return Decision(state, (Steer(0),), MOMENT)
    if entry.kind == "route" and not home:
        return Decision(state, (Unroute(),), MOMENT)
    if seen.route.pending:
        return wait(state, f"requests may still go to the candidate: {seen.route.pending}")
    if entry.kind == "route":
        return _struck(run, unrouted(state), ("route", "weight"), now)
    state = note(state, now, Reason.WEIGHT_SET, "all requests go to stable again")
    return _struck(run, unrouted(state), ("weight",), now)


def _pinned(seen: Seen) -> bool:
    """Whether every request goes to stable by our routes."""
    return seen.route.where == "steered" and not seen.route.used


def _next(journal: tuple[Entry, ...], *, routes_first: bool) -> Entry | None:
    if routes_first and journal and journal[-1].kind != "release":
        first = next((e for e in journal if e.kind == "route"), None)
        if first is not None:
            return first
    return journal[-1] if journal else None


def _struck(run: RunSpec, state: State, kinds: tuple[str, ...], now: float) -> Decision:
    """Strike lines out. Anything that moved traffic starts the time of draining and settling."""
    rest = tuple(e for e in state.journal if e.kind not in kinds)
    told = tuple(_told(e) for e in reversed(state.journal) if e.kind in kinds and e.kind not in ("weight", "release"))
    state = replace(state, journal=rest, undone=(*state.undone, *told))
    if {"route", "weight"} & set(kinds):
        settings = run.program.settings
        state = replace(state, settled=now + settings.settle, drained=now + settings.settle + settings.drain)
    return Decision(state)


def _told(entry: Entry) -> str:
    """What was undone, in words: a created object is gone, a changed one is its owner's again."""
    name = f"{entry.object_kind}/{entry.name}"
    return f"{name} is its owner's again" if entry.undo else f"{name} deleted"


def _retire(run: RunSpec, state: State, seen: Seen, now: float, *, routes_first: bool) -> Decision:
    candidate = seen.candidate
    if candidate is None or not candidate.ours:
        return _struck(run, state, ("candidate",), now)
    if seen.route.where != "home" and seen.route.used:
        # the look by which its weight was struck out showed the past: it has requests, and must not go
        away: Unroute | Steer = Unroute() if routes_first else Steer(0)
        rest = now + run.program.settings.settle
        return Decision(replace(state, settled=rest, drained=rest + run.program.settings.drain), (away,), MOMENT)
    if until(state.drained or 0.0, now) > 0:
        return wait(state, "the candidate drains", until(state.drained or 0.0, now))
    work = seen.workload
    if work is not None and not any(rs.ready for rs in work.replica_sets) and candidate.ready > 0:
        text = "stable has no ready pod; the candidate is kept until it has"
        if state.reason == Reason.PIN_LOST:
            text += f"; rollout promote {run.plan} --full goes forward instead"
        return block(state, now, Reason.STABLE_DOWN, text)
    if candidate.deleting:
        return wait(state, "the candidate's pods are going away")
    return Decision(state, (Retire(),), MOMENT)


def _finish(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """Everything of ours is gone. What is left is the Deployment's own pause."""
    work, revision = seen.workload, run.revision
    if work is not None and run.program.workload and work.uid == revision.workload_uid:
        reverted = work.digest == revision.stable_digest and _back(state)
        if reverted and work.paused and not revision.rests_paused:
            return let_go_in_time(run, state, work, now)
        if (state.committed or reverted) and revision.rests_paused and not work.paused:
            return Decision(state, (Rearm(),), MOMENT)
        if state.undo and work.digest == revision.digest and work.asked(revision.stable_digest):
            return Decision(state, (TakeBack(),), MOMENT)
        asked = state.reason != Reason.REVERTED and not state.undo and work.asked(revision.digest)
        if reverted and state.committed and asked:
            return Decision(state, (HoldAgain(),), MOMENT)
        if state.reason == Reason.PLAN_DELETED and work.holder == label_value(run.plan):
            return _end_hold(run, state, work, now)
    if seen.route.leftovers:
        return Decision(state, (Sweep(),), MOMENT)
    turn = hooks.last(run, state, seen, now)
    if turn is not None:
        return turn
    promoted = state.phase is not Phase.ROLLING_BACK
    done = Reason.ADOPTED if run.program.adoption else Reason.PROMOTED
    reason = done if promoted else Reason(state.reason) if state.reason else Reason.ROLLED_BACK
    message = _reached(run) if promoted else _ended(run, state)
    state = happen(state, Event.HOME, now, reason, message)
    return Decision(replace(state, ended=now, outcome=state.phase), wake=float("inf"))


def _end_hold(run: RunSpec, state: State, work: Workload, now: float) -> Decision:
    """Nobody will release it any more: the hold ends, and what is paused stays so."""
    if work.paused and not any(n.reason == Reason.HOLD_ENDED for n in state.notes):
        text = f"Deployment/{run.program.workload} stays paused at the version that was tried; when it may roll:"
        text += f" kubectl rollout resume deployment/{run.program.workload} -n {run.program.namespace}"
        state = note(state, now, Reason.HOLD_ENDED, text)
    return Decision(state, (EndHold(),), MOMENT)


def _reached(run: RunSpec) -> str:
    if run.program.adoption is not None:
        return f"namespace {run.program.namespace} is in the mesh as its plan says"
    return "promoted; nothing of the run is left"


def _ended(run: RunSpec, state: State) -> str:
    why = state.failed.message if state.failed else "the run went home"
    if run.program.adoption is not None:
        return f"every object is as it was before the run: {why}"
    return f"traffic is on stable, nothing of the run is left: {why}"


def _back(state: State) -> bool:
    """Whether the Deployment ends where it was: always before the commit point, and after it on the way back."""
    return not state.committed or state.phase is Phase.ROLLING_BACK


def _take_back(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """The inverse of a release; None when the stable ReplicaSet has all pods again, or there is nothing to take back.

    The stable template is written with a release, again and again against a Git that re-applies.  The Deployment
    controller removes the new pods as fast as the owner's `maxUnavailable` allows; a pin to the stable hash could not
    send more away without overloading what is there, and would put an object of ours into the data path.
    """
    work, revision = seen.workload, run.revision
    if not state.committed or not _back(state) or work is None or work.uid != revision.workload_uid:
        return None
    stable = work.by_hash(revision.stable_hash)
    others = any(rs.replicas > 0 and rs.hash != revision.stable_hash for rs in work.replica_sets)
    if stable is None or (stable.ready >= work.desired and not others and work.settled):
        return None
    if work.digest != revision.stable_digest:
        if work.digest != revision.digest and not work.paused:
            return None  # the owner's newer version rolls by itself; it is not ours to replace
        text = f"Deployment/{run.program.workload} rolls back to {revision.stable_hash}"
        known = any(n.reason == Reason.TAKEN_BACK for n in state.notes)
        state = state if known else note(state, now, Reason.TAKEN_BACK, text, warning=True)
        return Decision(state, (TakeBack(),), MOMENT)
    if work.paused:
        return let_go_in_time(run, state, work, now)
    if seen.route.where == "home" and any(e.kind == "candidate" for e in state.journal):
        return _retire(
            run, state, seen, now, routes_first=True
        )  # the plain Service leads to it, and it runs the version that goes
    return wait(state, f"the Deployment rolls back: {stable.ready} of {work.desired} stable pods ready")
