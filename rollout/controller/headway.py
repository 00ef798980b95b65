"""How far an adoption is, for people: its stage, what it does there, how many workloads are through, who blocks it."""

from __future__ import annotations

from typing import Any, Final

from rollout.plan.journey import progress_of, stage_of
from rollout.plan.program import Program, ReadyGate
from rollout.plan.run import GateState, State

_LONGEST: Final = 1024


def headway(program: Program, state: State) -> dict[str, Any]:
    """The fields of an adoption's status besides those of every plan; those that say nothing are left out."""
    found = {
        "stage": stage_of(program.steps, state.step),
        "doing": program.steps[state.step].name,
        "units": progress_of(program, state.step),
        "blockers": blockers(program, state),
    }
    return {name: value for name, value in found.items() if value}


def blockers(program: Program, state: State) -> list[str]:
    """Who still blocks STRICT, where the present step asks that; several in one text, as they were told."""
    ready = [gate.name for gate in program.steps[state.step].gates if isinstance(gate, ReadyGate)]
    looks = [look for name in ready for look in state.gates.get(name, GateState()).looks[-1:]]
    return [look.text[:_LONGEST] for look in looks if look.verdict != "pass" and look.text]
