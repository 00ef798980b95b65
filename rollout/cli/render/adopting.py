"""What is told of an adoption otherwise than of a canary: what its steps do, what they write, how far it is."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan.journey import progress_of, stage_of
from rollout.plan.program import (
    Apply,
    Enrol,
    Instruction,
    Label,
    Program,
    SetMode,
    Shadow,
    Withdraw,
)
from rollout.plan.run import State


def adopting(instruction: Instruction) -> str:
    """What an instruction of an adoption does, in a few words; empty for the others."""
    match instruction:
        case Enrol():
            return f"enrol {instruction.unit}"
        case Label():
            return "label the namespace"
        case SetMode():
            pods = f", {instruction.pods} pod{'' if instruction.pods == 1 else 's'}" if instruction.pods else ""
            ports = f", not {' '.join(map(str, instruction.plaintext))}" if instruction.plaintext else ""
            return f"{instruction.mode} {instruction.unit or 'namespace'}{pods}{ports}"
        case Shadow():
            return f"count only {instruction.unit or 'namespace'}"
        case Apply():
            return f"apply {_object(instruction)}"
        case Withdraw():
            return f"withdraw {instruction.step}"
        case _:
            return ""


def touched(program: Program) -> list[str]:
    """Every object that a run of an adoption writes or makes, once."""
    every = (what for step in program.steps for it in step.instructions for what in _touches(it, program.namespace))
    return list(dict.fromkeys(every))


def _touches(instruction: Instruction, namespace: str) -> Iterator[str]:
    match instruction:
        case Enrol():
            yield f"{instruction.unit} (pod template)"
        case Label():
            yield f"Namespace/{namespace} (label)"
        case SetMode():
            yield f"the mTLS mode of {instruction.unit or f'Namespace/{namespace}'}"
            if instruction.pods:
                yield f"pods of {instruction.unit} (label)"
        case Shadow():
            yield f"a policy that only counts, for {instruction.unit or f'Namespace/{namespace}'}"
        case Apply():
            yield _object(instruction)
        case _:
            return


def way_back() -> str:
    """What going back needs."""
    return (
        "each step has its exact inverse in the journal; a failure undoes the steps that ON FAILURE names, "
        "then the run is held; an abort undoes all. It needs no metrics and no person; leaving the mesh makes pods anew"
    )


def unseen(why: str) -> str:
    """Why there are no steps for each workload."""
    return f"the workloads, so the steps for each of them are missing here: {why}"


def headway(program: Program, state: State) -> str:
    """`enrol 3/7`, or the stage alone; empty between stages."""
    stage, through = stage_of(program.steps, state.step), progress_of(program, state.step)
    return " ".join(filter(None, [stage or "", through]))


def _object(instruction: Apply) -> str:
    manifest = instruction.manifest
    return f"{manifest.get('kind')}/{(manifest.get('metadata') or {}).get('name')}"
