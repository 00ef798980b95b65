"""Where a run of an adoption is on its way: read from its program and position, for status and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from rollout.plan.program import Apply, Approve, Enrol, Label, Program, SetMode, Shadow, Step, UnitName, Withdraw

StageName = Literal["enrol", "permissive", "traffic", "shadowStrict", "strict", "authorize"]
_POLICY: Final = "AuthorizationPolicy"


def stage_of(steps: Sequence[Step], position: int) -> StageName | None:
    """The stage that the step at a position belongs to.

    An approval, or a recount, belongs to what it lets begin.
    """
    for step in steps[position:]:
        for instruction in step.instructions:
            match instruction:
                case Enrol() | Label():
                    return "enrol"
                case SetMode():
                    return "strict" if instruction.mode == "STRICT" else "permissive"
                case Shadow():
                    return "shadowStrict"
                case Apply():
                    return "authorize" if instruction.manifest.get("kind") == _POLICY else "traffic"
                case Withdraw():
                    return _withdrawing(steps, step)
                case _:
                    pass
        if step.instructions and not any(isinstance(it, Approve) for it in step.instructions):
            return None
    return None


def progress_of(program: Program, position: int) -> str:
    """Workloads that the present stage is done with, and all that it has: `3/7`. Empty where it is not about them."""
    stage = stage_of(program.steps, position)
    if stage not in ("enrol", "strict"):
        return ""
    last: dict[UnitName, int] = {}
    for index, step in enumerate(program.steps):
        if stage_of(program.steps, index) == stage:
            last |= {
                it.unit: index for it in step.instructions if isinstance(it, Enrol | SetMode) and it.unit is not None
            }
    return f"{sum(index < position for index in last.values())}/{len(last)}" if last else ""


def _withdrawing(steps: Sequence[Step], step: Step) -> StageName | None:
    """The stage of the first of those whose work is withdrawn."""
    names = [it.step for it in step.instructions if isinstance(it, Withdraw)]
    index = next((index for index, it in enumerate(steps) if it.name == names[0]), None)
    return None if index is None or steps[index] is step else stage_of(steps, index)
