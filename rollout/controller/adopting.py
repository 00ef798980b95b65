"""A MeshAdoptionPlan without a run under way: once for each generation it begins one; what that reaches is kept.

Nothing is asked of the cluster at rest: plan, runs and orders are known from the watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rollout import checks
from rollout.checks.adopting import ends, overdue, told
from rollout.checks.rivals import look_ahead_of_adoption
from rollout.controller.adoption import create_adoption
from rollout.controller.afterwards import answer, first_order, taken
from rollout.controller.handing import hand_over, outdated, refused
from rollout.controller.record import Unreadable, parse
from rollout.controller.resting import AGAIN, Known, Teller
from rollout.controller.runs import next_attempt
from rollout.controller.settling import prune
from rollout.controller.starting import StartRefused
from rollout.controller.status import plan_status
from rollout.decide.keeping import unready
from rollout.decide.reason import Reason
from rollout.decide.rest import Last
from rollout.errors import InvalidInput, Unsupported
from rollout.observe.timing import stored_freezes, timing_of
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import Ref
from rollout.plan.objects import MeshAdoptionPlan
from rollout.ports.world import World

SPACE = ""
"""In place of a Deployment: what an adoption is about is its namespace."""


@dataclass(slots=True)
class Adopting:
    """MeshAdoptionPlans at rest; see `cares.Care`."""

    world: World
    teller: Teller = field(init=False)
    _known: dict[str, Known[MeshAdoptionPlan]] = field(default_factory=dict)
    _refused: dict[str, float] = field(default_factory=dict)
    """By the UID of a run: when it may be tried again to hand it over."""

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
            wake = await self._start(plan, parsed, runs)
        except Unreadable:
            raise
        except (InvalidInput, Unsupported) as error:
            text = f"{error}; {error.hint}" if error.hint else str(error)
            return await self.teller.refuse(plan, "Invalid", Reason.INVALID, text, runs)
        if order is not None and last is not None and wake == 0:
            await taken(self.world, runs[0], last, order)
        return wake

    async def renewed(self, plan: Json, run: Json, runs: Sequence[Json]) -> bool:
        """Hand a run of an older generation over to one of the present; why not is written into it."""
        record, now = parse(self.world.cluster, self.world.clock, run), self.world.clock.now()
        if not outdated(plan, record) or now < self._refused.get(record.uid, 0.0):
            return False
        try:
            await hand_over(self.world, plan, runs, record, self.world.identity)
        except (InvalidInput, Unsupported, StartRefused) as error:
            self._refused[record.uid] = now + AGAIN
            text = f"{error}; {error.hint}" if error.hint else str(error)
            generation = plan["metadata"].get("generation", 1)
            await refused(record, self.world, f"generation {generation} of the plan does not take over: {text}")
            return False
        return True

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

    async def _start(self, plan: Json, parsed: MeshAdoptionPlan, runs: Sequence[Json]) -> float:
        when = timing_of(parsed, await stored_freezes(self.world.cluster))
        if (still := unready(when, self.world.clock.now())) is not None:
            return await self.teller.stand(plan, still, runs)
        found = await checks.preflight(self.world, plan, unattended=True)
        errors = [f for f in found if f.level is Level.ERROR]
        if errors:
            return await self.teller.refuse_checked(plan, errors, runs)
        await create_adoption(self.world, plan, self.world.identity, next_attempt(runs))
        return 0.0
