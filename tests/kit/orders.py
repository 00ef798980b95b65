"""A run in each phase in which an order may meet it, and what the engine makes of the order; all of it pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollout.decide.engine import decide
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, ReplicaSetView, Seen
from rollout.decide.turn import Decision
from rollout.plan.program import Approve, Conclude, Release, Step
from rollout.plan.run import GateState, Holding, Look, Pause, Phase, RunSpec, State
from tests.kit.builders import FULL, RELEASE, RUN, STABLE, holding, steered, workload

NEWER = "cccccccccc"
"""The digest of a revision after the one that is tried."""
DOWN = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 0, 4),))
"""Stable has no pod that is ready."""


def approving() -> RunSpec:
    """The classic canary with an approval after the first weight, one minute long."""
    first, *rest = RUN.program.steps
    approve = Step("approve", (Approve(60.0, "rollback"),), first.gates, deadline=3660.0)
    return replace(RUN, program=replace(RUN.program, steps=(first, approve, *rest)))


def native() -> RunSpec:
    """The classic canary with a native release."""
    first, second, *_ = RUN.program.steps
    steps = (first, second, Step("release", (Release("native"),), first.gates), Step("conclude", (Conclude(),)))
    return replace(RUN, program=replace(RUN.program, steps=steps))


def waiting() -> State:
    """In front of the approval, since 100."""
    return holding(phase=Phase.AWAITING_APPROVAL, step=1)


def blocked() -> State:
    """Waits for metrics, since 105."""
    return holding(phase=Phase.HOLDING, holding=Holding(Reason.METRICS_UNAVAILABLE, "refused", 105.0))


def held() -> State:
    """Failed at 112, and the step says hold."""
    bad = {"success": GateState((Look(112.0, "fail"), Look(112.0, "fail")), 115.0, {"web-canary-1": (50.0, 9.0)})}
    return holding(phase=Phase.HELD, reason=Reason.GATE_FAILED, gates=bad)


def paused(before: Phase = Phase.PROGRESSING, **changes: Any) -> State:
    """Paused at 115."""
    state = holding(**{"phase": Phase.PAUSED, "reason": Reason.PAUSED, "message": "paused by ana", **changes})
    return replace(state, paused=Pause(115.0, before, "paused by ana"))


def committed(phase: Phase = Phase.PROMOTING) -> State:
    """The Deployment has been released; the candidate has everything."""
    return holding(phase=phase, step=RELEASE, committed=True, weight=100.0, routed=100.0)


def full(**changes: Any) -> State:
    """Promotion in full was ordered; the candidate grows, at 10 %."""
    return holding(step=FULL, full=True, held_since=None, **changes)


def order(verb: str, **changes: Any) -> Order:
    """An order of ana's."""
    return replace(Order("o1", verb, "ana", "looks odd"), **changes)  # type: ignore[arg-type]  # a verb by its name


def give(
    state: State, verb: str, now: float = 115.0, spec: RunSpec = RUN, world: Seen | None = None, **of: Any
) -> State:
    """The state after an order."""
    world = world or steered(state.weight)
    return decide(spec, state, replace(world, orders=(order(verb, **of),)), now).state


def refusal(state: State) -> str:
    """The sentence with which the last order was refused."""
    assert state.notes[-1].reason == Reason.DECISION_REFUSED, state.notes[-1]
    return state.notes[-1].message


def turns(spec: RunSpec, state: State, world: Seen, *moments: float) -> Decision:
    """Turns in which nothing in the world changes."""
    turn = Decision(state)
    for now in moments:
        turn = decide(spec, turn.state, world, now)
    return turn
