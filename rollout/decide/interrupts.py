"""What ends a run from outside: the plan or the target goes away, a newer revision comes, the pin is lost.

Looked at before the step's own business, in every phase before the commit point; after it only whether anything is
left to promote.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout.decide.broken import goes_on, serves
from rollout.decide.event import Event
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen, Workload
from rollout.decide.turn import Decision, go_home
from rollout.plan.run import Phase, RunSpec, State

SIGHTINGS: Final = 3
"""So often in a row must be seen what would end a run: a read may show the past."""
LOST: Final = (Reason.PIN_LOST, Reason.BYPASSED, Reason.TARGET_GONE)
"""Reasons to go home by which stable's pods are not what they were: no request may be sent to them by name."""
CONFIRM: Final = 0.5
"""Seconds between these looks."""


def interrupt(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """Where an outside event sends the run; None when nothing of the kind happened.

    What ends a run must be seen three times; but for a lost pin, where the plain Service must take over at once.
    """
    lost = None if state.committed else _pin(run, state, seen, now)
    if lost is not None or state.phase is Phase.ROLLING_BACK:
        return lost
    if state.committed:
        found = _vanished(run, state, seen, now)
    else:
        found = _plan(state, seen, now) or _target(run, state, seen.workload, now)
    if found is None:
        return None
    suspicion = (*state.suspicion, found.state.reason)
    if suspicion == (found.state.reason,) * SIGHTINGS:
        return found
    same = all(reason == found.state.reason for reason in state.suspicion)
    return Decision(replace(state, suspicion=suspicion if same else suspicion[-1:]), wake=CONFIRM)


def _plan(state: State, seen: Seen, now: float) -> Decision | None:
    if seen.plan_exists:
        return None
    return go_home(state, Event.ABORTED, now, Phase.ABORTED, Reason.PLAN_DELETED, "the plan was deleted")


def _target(run: RunSpec, state: State, work: Workload | None, now: float) -> Decision | None:
    if not run.program.workload:
        return None
    revision, name = run.revision, run.program.workload
    if work is None:
        text = f"Deployment/{name} was deleted"
        return go_home(state, Event.ABORTED, now, Phase.ABORTED, Reason.TARGET_GONE, text)
    if work.uid != revision.workload_uid:
        return go_home(state, Event.PIN_LOST, now, Phase.ABORTED, Reason.BYPASSED, _anew(name))
    if work.digest == revision.stable_digest:
        text = f"Deployment/{name} asks for the stable version again"
        return go_home(state, Event.SUPERSEDED, now, Phase.SUPERSEDED, Reason.REVERTED, text)
    if work.digest != revision.digest:
        text = "a newer revision came; traffic goes home first, then it gets a run of its own"
        return go_home(state, Event.SUPERSEDED, now, Phase.SUPERSEDED, Reason.NEW_REVISION, text)
    if not work.held and work.settled:
        text = f"Deployment/{name} was released by somebody else and rolls by itself"
        return go_home(state, Event.PIN_LOST, now, Phase.ABORTED, Reason.BYPASSED, text)
    return None


def _vanished(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """After the commit point a missing Deployment is waited for while its candidate serves and the plan wants it."""
    if not run.program.workload or seen.workload is not None or (seen.plan_exists and serves(seen)):
        return None
    text = f"Deployment/{run.program.workload} was deleted while it rolled"
    return go_home(state, Event.ABORTED, now, Phase.ABORTED, Reason.TARGET_GONE, text)


def _pin(run: RunSpec, state: State, seen: Seen, now: float) -> Decision | None:
    """A pin fails closed: when stable's pods are not behind it any more, the plain Service takes over at once.

    Stable without a ready pod does not stop a run that goes forward all the same: ordered in full, or with every
    request on a candidate that serves, where going home would lead to nobody.
    """
    work = seen.workload
    going = state.phase is Phase.ROLLING_BACK and state.reason in LOST
    if work is None or going or seen.route.where == "home" or not pin_lost(run, work):
        return None
    if goes_on(run, state, seen):
        return None
    outcome = state.outcome or Phase.ABORTED
    if work.uid != run.revision.workload_uid:
        return go_home(state, Event.PIN_LOST, now, outcome, Reason.BYPASSED, _anew(run.program.workload))
    text = f"the stable pods ({run.revision.stable_hash}) are not there any more; the plain Service has the traffic"
    text += f"; rollout promote {run.plan} --full goes forward while the candidate serves"
    return go_home(state, Event.PIN_LOST, now, outcome, Reason.PIN_LOST, text)


def _anew(name: str) -> str:
    return f"Deployment/{name} was deleted and made anew; what is new runs already"


def pin_lost(run: RunSpec, work: Workload) -> bool:
    """Whether the pinned ReplicaSet has no ready pod, or is not the only one with pods."""
    stable = work.by_hash(run.revision.stable_hash)
    if stable is None or stable.ready == 0:
        return True
    return any(rs.replicas > 0 and rs.hash != stable.hash for rs in work.replica_sets)
