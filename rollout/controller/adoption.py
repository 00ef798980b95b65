"""How a run of an adoption comes to be: the namespace looked at, the plan compiled, the run stored."""

from __future__ import annotations

from rollout.checks.adopting import compiled
from rollout.checks.flaws import refuse_flawed
from rollout.checks.subject import templates_of
from rollout.controller.starting import store_run
from rollout.errors import InvalidInput
from rollout.plan.base import Json
from rollout.plan.kinds import MESH_ADOPTION_PLAN, ref_of
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.parse import from_object
from rollout.plan.run import RunSpec
from rollout.ports.world import World


async def create_adoption(world: World, plan: Json, by: str, attempt: int) -> Json:
    """Look at the namespace, compile the plan and store the run.

    Raises:
        InvalidInput: the plan does not fit the namespace, or lint finds errors in it.
        Unsupported: its mesh or its strategy is not installed.
    """
    parsed, meta = from_object(plan), plan["metadata"]
    if not isinstance(parsed, MeshAdoptionPlan):
        raise InvalidInput(f"{plan['kind']} is none", where=str(ref_of(plan)), hint=f"give a {MESH_ADOPTION_PLAN}")
    refuse_flawed(world, parsed, await templates_of(world, meta["namespace"]))
    generation = meta.get("generation", 1)

    async def made(name: str, attempt: int) -> RunSpec:
        program = await compiled(world, parsed, name)
        return RunSpec(
            meta["name"],
            meta["uid"],
            generation,
            attempt,
            program,
            started_by=by,
            plan_kind="MeshAdoptionPlan",
        )

    return await store_run(world, plan, f"g{generation}", attempt, made, {})
