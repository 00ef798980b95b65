"""What a run of an adoption sees: the mesh and the workloads, how far the present step is, and who blocks STRICT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from rollout.decide.seen import Progress, Sample
from rollout.errors import Unsupported
from rollout.observe.readiness import CALLERS, Scene, blockers, scene
from rollout.observe.survey import Scope, read_objects, read_units, survey
from rollout.plan.finding import Finding, Level
from rollout.plan.program import Adoption, MeshInstruction, Program, ReadyGate, UnitName, Withdraw
from rollout.plan.run import LineKey, Phase, RunSpec, State
from rollout.ports.mesh import Mesh, Stage, Unit
from rollout.ports.world import World

TOLD: Final = 3
"""So many blockers are told in one sentence; the mesh report has all."""
_OF_THE_MESH: Final = get_args(MeshInstruction)


def mesh_of(world: World, adoption: Adoption) -> Mesh:
    """The driver.

    Raises:
        Unsupported: it is not installed here.
    """
    mesh = world.meshes.get(adoption.mesh)
    if mesh is None:
        raise Unsupported(f"no mesh driver is named {adoption.mesh}", hint="install the package that brings it")
    return mesh


def name_of(unit: Unit) -> UnitName:
    """The name by which programs know a workload."""
    return UnitName(unit.kind.name, unit.name)


async def read_stage(world: World, mesh: Mesh, program: Program, state: State) -> Stage:
    """The mesh as it stands: one list per kind."""
    adoption = program.adoption
    assert adoption is not None, "only programs with an adoption have a stage"
    reads = (*mesh.reads(adoption.namespace, adoption.home or mesh.home), *mesh.touches(program))
    objects, _ = await read_objects(world, tuple(dict.fromkeys(reads)), adoption.namespace)
    found = await read_units(world, adoption.namespace)
    return Stage(adoption, {name_of(unit): unit for unit in found}, objects, state.journal)


def progress(mesh: Mesh, program: Program, state: State, stage: Stage) -> Mapping[int, Progress]:
    """How far the present step's instructions are."""
    if state.phase.ended or state.phase is Phase.ROLLING_BACK:
        return {}
    step = program.steps[state.step]
    return {
        index: mesh.progress(wanted, stage)
        for index, wanted in enumerate(step.instructions)
        if isinstance(wanted, _OF_THE_MESH)
    }


def undone(mesh: Mesh, program: Program, state: State, stage: Stage) -> Mapping[LineKey, Progress]:
    """How far the undoing of lines is; nothing while no line is to be undone."""
    withdraws = any(isinstance(it, Withdraw) for it in program.steps[state.step].instructions)
    if not withdraws and state.phase is not Phase.ROLLING_BACK:
        return {}
    return {entry.key: mesh.undone(entry, stage) for entry in state.journal if entry.kind == "mesh"}


async def ask_readiness(world: World, mesh: Mesh, gate: ReadyGate, spec: RunSpec) -> Sample:
    """Who would be cut off by STRICT: as many as the value says, named in the detail."""
    adoption, settings = spec.program.adoption, spec.program.settings
    assert adoption is not None, "only programs with an adoption ask this"
    scope = Scope(adoption.namespace, adoption.home or mesh.home, gate.window, settings.provider)
    excused = frozenset((adoption.namespace, it.name) for it in gate.excused)
    seen = scene(mesh, await survey(world, mesh, scope, world.schedules), excused)
    query = f"who sends plaintext to {adoption.namespace}, within {gate.window:g} s"
    if seen.survey.traffic.problem:
        return Sample("unknown", query, detail=seen.survey.traffic.problem)
    found = _found(gate, seen)
    if found:
        return Sample("no-data", query, detail=headline(found))
    return Sample("value", query, 0.0)


def _found(gate: ReadyGate, seen: Scene) -> list[tuple[Unit, Finding]]:
    """What would break STRICT of the gate's units, or could: a window may be too short to see a CronJob call."""
    wanted = set(gate.units)
    return [
        (unit, finding)
        for unit in seen.survey.units
        if name_of(unit) in wanted
        for finding in blockers(unit, seen)
        if finding.level is Level.ERROR or finding.code == "RO610"
        if finding.code not in CALLERS or name_of(unit) not in gate.left_open
    ]


def headline(found: Sequence[tuple[Unit, Finding]]) -> str:
    """Who still blocks STRICT, each with the fix; the same said of several workloads is told once.

    Who would be cut off comes before what may have been missed.
    """
    told: dict[tuple[str, str], list[str]] = {}
    for unit, finding in sorted(found, key=lambda it: it[1].level is not Level.ERROR):
        told.setdefault((finding.message, finding.fix), []).append(str(name_of(unit)))
    lines = [
        f"{', '.join(names)}: {message}" + (f" (fix: {fix})" if fix else "")
        for (message, fix), names in list(told.items())[:TOLD]
    ]
    more = f"; and {len(told) - TOLD} more: rollout mesh report" if len(told) > TOLD else ""
    return f"{len(told)} still block{'s' if len(told) == 1 else ''} STRICT: {'; '.join(lines)}{more}"
