"""A release that does not take: tried a few times in a row, then every ten seconds, and told.

It is a write like any other, and the API server takes it; but the hold policy pauses the Deployment in the same write
when whoever releases lacks the right, and Git may pause it again right after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout.decide.action import ReleaseHold
from rollout.decide.seen import Workload
from rollout.decide.turn import MOMENT, Decision, until, wait
from rollout.plan.run import RunSpec, State

TRIES: Final = 10
"""So often in a row a Deployment is released that is paused again; then somebody has to do something."""
AGAIN: Final = 10.0
"""Seconds between two tries after that."""


def vain(state: State) -> bool:
    """Whether it was tried often enough to say so."""
    return len(state.releases) >= TRIES


def again(state: State, now: float) -> float:
    """Seconds until the next try."""
    return until(state.releases[-1] + AGAIN, now) if vain(state) else 0.0


def let_go(state: State, now: float) -> Decision:
    """One more try, remembered."""
    tries = (*state.releases[: TRIES - 1], now)
    return Decision(replace(state, releases=tries), (ReleaseHold(),), AGAIN if len(tries) >= TRIES else MOMENT)


def let_go_in_time(run: RunSpec, state: State, work: Workload, now: float) -> Decision:
    """The same, or a wait with the reason until it is time."""
    left = again(state, now)
    return wait(state, why(run, work), left) if left > 0 else let_go(state, now)


def why(run: RunSpec, work: Workload) -> str:
    """What keeps the Deployment paused, and what to do about it."""
    name, namespace = run.program.workload, run.program.split.namespace
    if work.marked:
        return (
            f"Deployment/{name} stays held although it was released: who drives the run lacks the verb `release` on "
            f"canaryplans in {namespace} (kubectl auth can-i release canaryplans.meshrollout.dev -n {namespace})"
        )
    return (
        f"Deployment/{name} was released and is paused again: somebody, a GitOps tool perhaps, writes spec.paused "
        f"(kubectl get deployment {name} -n {namespace} -o yaml --show-managed-fields tells who)"
    )
