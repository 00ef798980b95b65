"""A MeshAdoptionPlan without a run under way: once for each generation it begins one; what that reaches is kept.

Nothing is asked of the cluster at rest: plan, runs and orders are known from the watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollout import checks
from rollout.checks.adopting import compiled, ends, overdue, told
from rollout.checks.rivals import look_ahead_of_adoption
from rollout.controller.afterwards import answer, first_order, taken
from rollout.controller.record import Unreadable
from rollout.controller.resting import Known, Teller
from rollout.controller.runs import next_attempt
from rollout.controller.settling import prune
from rollout.controller.starting import store_run
from rollout.controller.status import plan_status
from rollout.decide.reason import Reason
from rollout.decide.rest import Last
from rollout.errors import InvalidInput, Unsupported
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import MESH_ADOPTION_PLAN, Ref, ref_of
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.parse import from_object
from rollout.plan.run import RunSpec
from rollout.ports.world import World

SPACE = ""
"""In place of a Deployment: what an adoption is about is its namespace."""


@dataclass(slots=True)
class Adopting:
    """MeshAdoptionPlans at rest; see `cares.Care`."""

    world: World
    teller: Teller = field(init=False)
    _known: dict[str, Known[MeshAdoptionPlan]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.teller = Teller(self.world)

    async def turn(self, plan: Json, runs: Sequence[Json]) -> float:
        """See whether a run begins; the seconds until the plan should be looked at again."""
        known = self._known.setdefault(plan["metadata"]["uid"], Known(MeshAdoptionPlan))
        try:
            parsed = known.parse(plan)
            await prune(self.world, runs, parsed.spec.history)
            last = known.newest(self.world, runs)
            order = await first_order(self.world, runs[0], last) if last else None
            if order is not None and last is not None:
                if not await answer(self.world, runs[0], last, order, SPACE):
                    return 0.0
            elif last is not None and last.spec.plan_generation >= plan["metadata"].get("generation", 1):
                return await self._stay(plan, parsed, last, runs)
            if (first := await look_ahead_of_adoption(self.world, parsed)) is not None:
                return await self.teller.wait_for(plan, first, runs)
            wake = await self._start(plan, runs)
        except Unreadable:
            raise
        except (InvalidInput, Unsupported) as error:
            text = f"{error}; {error.hint}" if error.hint else str(error)
            return await self.teller.refuse(plan, "Invalid", Reason.INVALID, text, runs)
        if order is not None and last is not None and wake == 0:
            await taken(self.world, runs[0], last, order)
        return wake

    async def gone(self, plan: Ref) -> None:
        """Nothing is left to do: its run has gone home, or was over and what it reached is kept."""

    async def _stay(self, plan: Json, parsed: MeshAdoptionPlan, last: Last, runs: Sequence[Json]) -> float:
        """The end of the last run is how the plan stands, until one of its exceptions is over."""
        now = self.world.clock.now()
        if over := overdue(parsed, now):
            text = "; ".join(told(it) for it in over) + ": give another day in spec.exceptions, or take it out"
            return await self.teller.tell(plan, "Invalid", Reason.INVALID, text, runs)
        status = plan_status(plan, runs[0]["metadata"]["name"], last.spec, last.state, now)
        await self.teller.put(plan, status)
        return min((ends(it) - now for it in parsed.spec.exceptions), default=float("inf"))

    async def _start(self, plan: Json, runs: Sequence[Json]) -> float:
        found = await checks.preflight(self.world, plan, unattended=True)
        errors = [f for f in found if f.level is Level.ERROR]
        if errors:
            return await self.teller.refuse_checked(plan, errors, runs)
        await create_adoption(self.world, plan, self.world.identity, next_attempt(runs))
        return 0.0


async def create_adoption(world: World, plan: Json, by: str, attempt: int) -> Json:
    """Look at the namespace, compile the plan and store the run.

    Raises:
        InvalidInput: the plan does not fit the namespace.
        Unsupported: its mesh or its strategy is not installed.
    """
    parsed, meta = from_object(plan), plan["metadata"]
    if not isinstance(parsed, MeshAdoptionPlan):
        raise InvalidInput(f"{plan['kind']} is none", where=str(ref_of(plan)), hint=f"give a {MESH_ADOPTION_PLAN}")
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
