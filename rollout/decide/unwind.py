"""Going home: the journal played backwards, after a failure and after a promotion alike.

Backwards means: weight home, drain, delete the candidate, give the routes back, sweep.  In that order no request can
meet a pod that is going away, and the plain Service never leads to a candidate that was not proved.

After the commit point, and when the pin is lost, the routes come first: there the plain Service is the safe place.
A line of the journal is struck out only when the world shows that it is undone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from rollout.decide.action import Freeze, Rearm, ReleaseHold, Retire, Steer, Sweep, Unroute
from rollout.decide.event import Event
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen
from rollout.decide.turn import MOMENT, Decision, block, happen, note, until, wait
from rollout.plan.run import Entry, Phase, RunSpec, State


def unwind(run: RunSpec, state: State, seen: Seen, now: float, *, routes_first: bool) -> Decision:
    """The next thing to undo, or the end of the run."""
    entry = _next(state.journal, routes_first=routes_first)
    if entry is None:
        return _finish(run, state, seen, now)
    match entry.kind:
        case "weight":
            if seen.route.where == "home" or (seen.route.where == "steered" and seen.route.weight == 0):
                home = note(state, now, Reason.WEIGHT_SET, "all requests go to stable again")
                return _struck(run, replace(home, weight=0.0), ("weight",), now)
            return Decision(state, (Steer(0),), MOMENT)
        case "candidate":
            return _retire(run, state, seen, now)
        case "route":
            if seen.route.where == "home":
                return _struck(run, replace(state, weight=0.0), ("route", "weight"), now)
            return Decision(state, (Unroute(),), MOMENT)
        case "subsets":
            if not seen.route.leftovers:
                return _struck(run, state, ("subsets",), now)
            if until(state.settled or 0.0, now) > 0:
                return wait(state, "routes are settling", until(state.settled or 0.0, now))
            return Decision(state, (Sweep(),), MOMENT)
        case "release":
            return _struck(run, state, ("release",), now)
        case _:
            assert_never(entry.kind)


def _next(journal: tuple[Entry, ...], *, routes_first: bool) -> Entry | None:
    if routes_first:
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


def _retire(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    candidate = seen.candidate
    if candidate is None or not candidate.ours:
        return _struck(run, state, ("candidate",), now)
    if until(state.drained or 0.0, now) > 0:
        return wait(state, "the candidate drains", until(state.drained or 0.0, now))
    work = seen.workload
    if work is not None and not any(rs.ready for rs in work.replica_sets) and candidate.ready > 0:
        return block(state, now, Reason.STABLE_DOWN, "stable has no ready pod; the candidate is kept until it has")
    if candidate.deleting:
        return wait(state, "the candidate's pods are going away")
    return Decision(state, (Retire(),), MOMENT)


def _finish(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """Everything of ours is gone. What is left is the Deployment's own pause."""
    work, revision = seen.workload, run.revision
    if work is not None and run.program.workload and work.uid == revision.workload_uid:
        reverted = not state.committed and work.digest == revision.stable_digest
        if reverted and work.paused and not revision.rests_paused:
            return Decision(state, (ReleaseHold(),), MOMENT)
        if (state.committed or reverted) and revision.rests_paused and not work.paused:
            return Decision(state, (Rearm(),), MOMENT)
    if seen.route.leftovers:
        return Decision(state, (Sweep(),), MOMENT)
    promoted = state.phase is not Phase.ROLLING_BACK
    reason = Reason.PROMOTED if promoted else Reason(state.reason) if state.reason else Reason.ROLLED_BACK
    message = "promoted; nothing of the run is left" if promoted else _ended(state)
    state = happen(state, Event.HOME, now, reason, message)
    return Decision(replace(state, ended=now, outcome=state.phase), wake=float("inf"))


def _ended(state: State) -> str:
    why = state.failed.message if state.failed else "the run went home"
    return f"traffic is on stable, nothing of the run is left: {why}"


def take_back(state: State) -> Decision:
    """The inverse of a native roll: freeze it, and have the stable template roll again."""
    return Decision(state, (Freeze(),), MOMENT)
