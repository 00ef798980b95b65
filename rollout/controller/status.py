"""Status as people and tools read it, derived from the engine's state: conditions by kstatus, short printable fields.

Ready, and the abnormal-true Reconciling and Stalled; the phase decides which (the table of the README):
running is Ready=False with Reconciling=True; succeeded is Ready=True; ended badly or waiting for a person after a
failure is Ready=False with Stalled=True.  A plan whose run gave way to a newer revision is not done: who waits for it
waits for the next run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from rollout.controller.headway import headway
from rollout.decide.reason import Reason
from rollout.plan.base import Json, rfc3339
from rollout.plan.run import Phase, RunSpec, State, dump_state

MESSAGE: Final = 1024
"""So much of a message is written into a status."""
_STALLED: Final = frozenset({Phase.ROLLED_BACK, Phase.ABORTED, Phase.HELD})
_READY: Final = frozenset({Phase.SUCCEEDED, Phase.SUPERSEDED})
_DOMAIN: Final = {
    Phase.AWAITING_APPROVAL: "AwaitingApproval",
    Phase.PAUSED: "Paused",
    Phase.ROLLED_BACK: "RolledBack",
}
"""Conditions of our own; each is there in its phase only."""


def conditions(state: State, generation: int, before: list[Json], now: float, *, ready: bool) -> list[Json]:
    """Ready, Reconciling, Stalled and the domain conditions; a time moves only when the status does."""
    wanted: dict[str, bool] = {"Ready": ready}
    if state.phase in _STALLED:
        wanted["Stalled"] = True
    elif not ready:
        wanted["Reconciling"] = True
    if state.phase in _DOMAIN:
        wanted[_DOMAIN[state.phase]] = True
    return _conditions(wanted, state.reason or str(state.phase), state.message, generation, before, now)


def _conditions(
    wanted: Mapping[str, bool], reason: str, message: str, generation: int, before: list[Json], now: float
) -> list[Json]:
    old = {c["type"]: c for c in before}
    return [
        _condition(kind, str(is_true), reason, message[:MESSAGE], generation, old.get(kind), now)
        for kind, is_true in wanted.items()
    ]


def _condition(
    kind: str,
    status: str,
    reason: str,
    message: str,
    generation: int,
    old: Json | None,
    now: float,
) -> Json:
    unchanged = old is not None and old["status"] == status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if old is not None and unchanged else rfc3339(now),
    }


def step_text(spec: RunSpec, state: State) -> str:
    """`3/6`, as the printer column shows it."""
    return f"{min(state.step + 1, len(spec.program.steps))}/{len(spec.program.steps)}"


def run_status(run: Json, spec: RunSpec, state: State, now: float) -> Json:
    """The whole status of a PlanRun."""
    generation = run["metadata"].get("generation", 1)
    before = (run.get("status") or {}).get("conditions", [])
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "phase": str(state.phase),
        "step": step_text(spec, state),
        **({"weight": state.weight} if spec.program.adoption is None else {}),
        "reason": state.reason,
        "message": state.message[:MESSAGE],
        "conditions": conditions(state, generation, before, now, ready=state.phase in _READY),
        "state": dump_state(state),
    }
    if state.started:
        status["startedAt"] = rfc3339(state.started)
    if state.ended is not None:
        status["endedAt"] = rfc3339(state.ended)
        status["outcome"] = str(state.phase)
    return status


def plan_status(plan: Json, run: str, spec: RunSpec, state: State, now: float) -> Json:
    """The status of the plan that a run belongs to."""
    generation = plan["metadata"].get("generation", 1)
    before = (plan.get("status") or {}).get("conditions", [])
    superseded = state.phase is Phase.SUPERSEDED and state.reason == Reason.NEW_REVISION
    ready = state.phase in _READY and not superseded
    return {
        "observedGeneration": generation,
        "phase": str(state.phase),
        "step": step_text(spec, state),
        **({"weight": state.weight} if spec.program.adoption is None else headway(spec.program, state)),
        "run": run,
        "reason": state.reason,
        "message": state.message[:MESSAGE],
        "conditions": conditions(state, generation, before, now, ready=ready),
    }


def rest_status(
    plan: Json, phase: Literal["Idle", "Pending", "Invalid", "Aborted"], reason: str, message: str, run: str, now: float
) -> Json:
    """The status of a plan that has no run under way, and no run whose end says how it stands."""
    generation = plan["metadata"].get("generation", 1)
    before = (plan.get("status") or {}).get("conditions", [])
    ready = phase == "Idle"
    wanted = {"Ready": ready} | ({} if ready else {"Reconciling" if phase == "Pending" else "Stalled": True})
    return {
        "observedGeneration": generation,
        "phase": phase,
        "reason": reason,
        "message": message[:MESSAGE],
        "conditions": _conditions(wanted, reason, message, generation, before, now),
    } | ({"run": run} if run else {})
