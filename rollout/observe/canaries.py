"""An adoption next to canaries: it does not write to a Deployment on which a canary is under way.

A canary does not begin where an adoption is at work, but it may have begun before the adoption came to its workload:
a new pod template, or a mode of its own, in the middle of a comparison would be judged as the new version's doing.
The runs are asked for only when a write to a Deployment's pods is due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollout.decide.seen import Progress, Trouble
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, PLAN_RUN, plan_of
from rollout.plan.program import Enrol, Program, SetMode
from rollout.plan.run import LineKey, State
from rollout.ports.world import World


async def stop_progress(
    world: World, program: Program, state: State, progress: Mapping[int, Progress]
) -> Mapping[int, Progress]:
    """The progress of the present step, blocked where a canary is in the way of a write."""
    instructions = program.steps[state.step].instructions if progress else ()
    writes = {
        index: wanted.unit.name
        for index, wanted in enumerate(instructions)
        if isinstance(wanted, Enrol | SetMode) and wanted.unit is not None and wanted.unit.kind == DEPLOYMENT.name
        if index in progress and progress[index].write
    }
    busy = await _under_way(world, program.namespace) if writes else {}
    blocked = {index: _blocked(progress[index], name, busy[name]) for index, name in writes.items() if name in busy}
    return {**progress, **blocked}


async def stop_undoing(
    world: World, program: Program, state: State, undone: Mapping[LineKey, Progress]
) -> Mapping[LineKey, Progress]:
    """The progress of lines on their way back, blocked where a canary is in the way of a write."""
    templates = {
        entry.key: entry.name
        for entry in state.journal
        if entry.object_kind == DEPLOYMENT.name and entry.key in undone and undone[entry.key].write
    }
    busy = await _under_way(world, program.namespace) if templates else {}
    blocked = {key: _blocked(undone[key], name, busy[name]) for key, name in templates.items() if name in busy}
    return {**undone, **blocked}


async def _under_way(world: World, namespace: str) -> Mapping[str, str]:
    """By Deployment, the run of a canary."""
    return {
        str((run["spec"].get("program") or {}).get("workload") or ""): str(run["metadata"]["name"])
        for run in await world.cluster.list(PLAN_RUN, namespace)
        if plan_of(run).kind == CANARY_PLAN and not (run.get("status") or {}).get("endedAt")
    }


def _blocked(progress: Progress, workload: str, run: str) -> Progress:
    text = f"canary {run} is under way on Deployment/{workload}; it ends first"
    return replace(progress, write=False, text=text, trouble=Trouble("blocked", "Canary", text))
