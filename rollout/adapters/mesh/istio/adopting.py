"""The writing half: what the instructions of an adoption take, and how each line of its journal is undone.

Each instruction is read as aims: how which objects shall be.  What an aim writes, and how that is undone, is the same
for all (`lines`); enrolment alone has more to it, for pods have to be made anew both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any, Final, assert_never

import orjson

from rollout.adapters.mesh.istio import enrolment, lines, modes, policies
from rollout.adapters.mesh.istio.ground import Ground, Outlook, blocked
from rollout.decide.seen import Progress
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    CONFIGMAP,
    DESTINATION_RULE,
    KINDS,
    PEER_AUTHENTICATION,
    SERVICE,
    Ref,
)
from rollout.plan.program import Apply, Enrol, Label, MeshInstruction, Program, SetMode, Shadow
from rollout.plan.run import Entry
from rollout.ports.router import Change, Read

_READ: Final = (CONFIGMAP, DESTINATION_RULE, PEER_AUTHENTICATION, SERVICE)
"""Read for the other half already."""


def touches(program: Program) -> tuple[Read, ...]:
    """Policies, and the kinds of all manifests; one that is not served breaks its own step only."""
    assert program.adoption is not None, "only programs with an adoption have a mesh"
    home, found = program.adoption.namespace, dict[Read, None]()
    for instruction in (it for step in program.steps for it in step.instructions):
        if isinstance(instruction, Shadow):
            found[Read(AUTHORIZATION_POLICY, home, optional=True)] = None
        elif isinstance(instruction, Apply):
            kind = policies.kind_of(instruction.manifest)
            where = instruction.manifest["metadata"].get("namespace") or home
            if kind is not None and kind not in _READ:
                found[Read(kind, where, optional=True)] = None
    return tuple(found)


def progress(instruction: MeshInstruction, ground: Ground) -> Progress:
    """See `ports.mesh.Mesh.progress`."""
    seen = outlook(instruction, ground)
    if seen.trouble is not None:
        return Progress(done=False, text=seen.trouble.message, trouble=seen.trouble)
    todo = [aim for aim in seen.aims if not aim.met]
    going = [aim for aim in todo if aim.found is not None and "deletionTimestamp" in aim.found["metadata"]]
    if going:
        return Progress(done=False, text=f"{going[0].ref} is being deleted")
    if todo:
        by, journal = mark(instruction), ground.stage.journal
        again = any(lines.contested(aim, by, journal) for aim in todo)
        return Progress(done=False, text="; ".join(aim.told for aim in todo), write=True, contested=again)
    return Progress(done=not seen.waits, text=seen.waits)


def render(instruction: MeshInstruction, ground: Ground, owner: Mapping[str, Any]) -> tuple[Change, ...]:
    """See `ports.mesh.Mesh.render`."""
    seen, by = outlook(instruction, ground), mark(instruction)
    if seen.trouble is not None:
        return ()
    found = (lines.write(aim, by, ground.stage.journal, owner) for aim in seen.aims)
    return tuple(it for it in found if it is not None)


def outlook(instruction: MeshInstruction, ground: Ground) -> Outlook:
    """What an instruction takes."""
    match instruction:
        case Enrol():
            return enrolment.outlook(instruction, ground)
        case Label():
            return policies.label(ground)
        case SetMode():
            return modes.outlook(instruction, ground)
        case Shadow():
            return policies.shadow(instruction, ground)
        case Apply():
            return policies.applied(instruction, ground)
        case _:
            assert_never(instruction)


def undone(entry: Entry, ground: Ground) -> Progress:
    """See `ports.mesh.Mesh.undone`."""
    ref = _ref(entry)
    if not ground.sees(ref.kind) and ref.kind not in enrolment.TEMPLATED:
        text = f"{ref.kind.plural} of {ref.namespace} may not be read, so {ref} cannot be put back"
        return Progress(done=False, text=text, trouble=blocked("Forbidden", text))
    unit = ground.unit(ref)
    if unit is not None and ref.kind in enrolment.TEMPLATED:
        return enrolment.undone(entry, unit, ground)
    found = ground.find(ref)
    if not lines.left(entry, found):
        return Progress(done=True)
    if found is not None and "deletionTimestamp" in found["metadata"]:
        return Progress(done=False, text=f"{ref} is being deleted")
    return Progress(done=False, text=entry.what, write=True)


def undo(entry: Entry, ground: Ground) -> tuple[Change, ...]:
    """See `ports.mesh.Mesh.undo`."""
    ref = _ref(entry)
    found, unit = ground.find(ref), ground.unit(ref)
    if found is None:
        return ()
    beside = () if unit is None or ref.kind not in enrolment.TEMPLATED else enrolment.release(unit, ground)
    change = lines.undo(entry, ref, found, beside)
    return () if change is None else (change,)


def mark(instruction: MeshInstruction) -> str:
    """Tells the lines of one instruction from those of another."""
    return sha256(orjson.dumps(asdict(instruction), option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]


def _ref(entry: Entry) -> Ref:
    return Ref(KINDS[entry.api_version, entry.object_kind], entry.namespace, entry.name)
