"""When stable has no ready pod: nobody may be sent to it by name, and it must not stop who goes forward.

Without an order the plain Service takes over (`interrupts`), which leads to whatever is ready, and the candidate is
kept until stable is back (`unwind`).  With every request on a candidate that serves, the run simply goes on: home is
worse.  When promotion in full was ordered, all requests go to the candidate as soon as one of its pods is ready; until
then nothing is pinned.
"""

from __future__ import annotations

from dataclasses import replace

from rollout.decide.action import Unroute
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen
from rollout.decide.turn import MOMENT, Decision, note, unrouted
from rollout.plan.program import Release, Step
from rollout.plan.run import Phase, RunSpec, State


def down(run: RunSpec, seen: Seen) -> bool:
    """Whether the Deployment is the one that was, holds the new revision, and has no ready pod of any other."""
    work = seen.workload
    if work is None or work.uid != run.revision.workload_uid or not work.held:
        return False
    stable = run.revision.stable_hash
    return not any(rs.ready or (rs.replicas and rs.hash != stable) for rs in work.replica_sets)


def serves(seen: Seen) -> bool:
    """Whether the candidate has a ready pod that stays."""
    candidate = seen.candidate
    return candidate is not None and candidate.ours and not candidate.deleting and candidate.ready > 0


def goes_on(run: RunSpec, state: State, seen: Seen) -> bool:
    """Whether a run whose stable is down goes forward all the same."""
    if state.phase is Phase.ROLLING_BACK or not down(run, seen):
        return False
    all_on_candidate = state.weight >= 100 and seen.route.where == "steered" and seen.route.weight >= 100
    return (all_on_candidate and serves(seen)) or (state.full and state.phase not in (Phase.PAUSED, Phase.HELD))


def unpinned(run: RunSpec, state: State, seen: Seen) -> bool:
    """Whether the candidate is prepared under the plain Service, because a pin would lead to nobody."""
    return state.full and state.weight == 0 and seen.route.where == "home" and down(run, seen)


def forward(run: RunSpec, state: State, step: Step, seen: Seen, now: float) -> Decision | None:
    """Off the pin, as promotion in full was ordered; None when nothing has to be done about it."""
    native = any(isinstance(i, Release) and i.mode == "native" for i in step.instructions)
    if not state.full or native or state.weight >= 100 or not down(run, seen):
        return None
    if serves(seen):
        text = "stable has no ready pod and promotion in full was ordered: all requests to the candidate at once"
        state = note(state, now, Reason.STABLE_DOWN, text, warning=True)
        return Decision(replace(state, weight=100.0, routed=None))
    if seen.route.where != "home":
        return Decision(replace(unrouted(state), routed=None), (Unroute(),), MOMENT)
    bare = unrouted(state)
    return Decision(replace(bare, routed=None)) if bare != state else None
