"""What plans of all kinds have in common while no run of theirs is under way: read once, and told how they stand."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar

from rollout.checks.rivals import Ahead
from rollout.controller.events import tell
from rollout.controller.record import Unreadable, parse
from rollout.controller.status import MESSAGE, rest_status
from rollout.decide.keeping import Standstill
from rollout.decide.reason import Reason
from rollout.decide.rest import Last, Rest
from rollout.decide.turn import until
from rollout.errors import InvalidInput, NotFound
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import Ref, ref_of
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan
from rollout.plan.parse import from_object
from rollout.plan.run import Note
from rollout.ports.cluster import guard_of
from rollout.ports.world import World

NEVER: Final = math.inf
AGAIN: Final = 30.0
"""Seconds until what forbids a start is looked at again; sooner when something that we watch changes."""
SOON: Final = 5.0
"""Seconds until another plan's run is looked at again: its end is our own write, which no watch brings us as news."""
PASSING: Final = 2.0
"""Seconds for which it is no news that a Deployment's controller has not seen a change yet: an autoscaler's too."""
RestPhase = Literal["Idle", "Pending", "Invalid", "Aborted"]
P = TypeVar("P", CanaryPlan, MeshAdoptionPlan)
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Known(Generic[P]):
    """What is remembered of a plan, so that it is read once for each change."""

    model: type[P]
    plan: tuple[str, int] = ("", 0)
    last: Last | None = None
    last_version: str = ""
    compiled: tuple[object, ...] = ()
    """The versions of plan and templates that have been seen to fit together."""
    _parsed: list[P] = field(default_factory=list)
    _unseen: float = math.inf
    """Since when the Deployment's controller has not seen it as it is."""

    def parse(self, plan: Json) -> P:
        """The plan in a raw object.

        Raises:
            InvalidInput: it cannot be read.
        """
        version = (plan["metadata"]["uid"], plan["metadata"].get("generation", 1))
        if not self._parsed or self.plan != version:
            parsed = from_object({key: value for key, value in plan.items() if key != "status"})
            if not isinstance(parsed, self.model):
                raise InvalidInput(f"a {plan['kind']} is none", hint=f"give a {self.model.__name__}")
            self._parsed, self.plan = [parsed], version
        return self._parsed[0]

    def newest(self, world: World, runs: Sequence[Json]) -> Last | None:
        """The newest of the plan's runs, given newest first.

        Raises:
            Unreadable: it cannot be read.
        """
        if not runs:
            return None
        version = f"{runs[0]['metadata']['uid']}/{runs[0]['metadata']['resourceVersion']}"
        if self.last is None or self.last_version != version:
            record = parse(world.cluster, world.clock, runs[0])
            self.last, self.last_version = Last(record.spec, record.state), version
        return self.last

    def passing(self, rest: Rest, now: float) -> float:
        """Seconds until a wait is news; 0 when it is."""
        if (rest.act, rest.reason) != ("wait", Reason.NOT_HELD):
            self._unseen = math.inf
            return 0.0
        self._unseen = min(self._unseen, now)
        return max(0.0, self._unseen + PASSING - now)


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes how a plan stands; each method returns the seconds until the plan should be looked at again."""

    world: World

    async def put(self, plan: Json, status: Json) -> float:
        """Write the status if it is another one."""
        if status != plan.get("status"):
            with suppress(NotFound):
                await self.world.cluster.put_status(ref_of(plan), status, guard_of(plan))
        return NEVER

    async def tell(self, plan: Json, phase: RestPhase, reason: Reason, message: str, runs: Sequence[Json]) -> float:
        """Say in which phase a plan rests, and why."""
        run = runs[0]["metadata"]["name"] if runs else ""
        return await self.put(plan, rest_status(plan, phase, reason, message, run, self.world.clock.now()))

    async def refuse(
        self, plan: Json, phase: Literal["Pending", "Invalid"], reason: Reason, text: str, runs: Sequence[Json]
    ) -> float:
        """Tell why no run begins: in the log once, although it is looked at again and again."""
        meta, known = plan["metadata"], plan.get("status") or {}
        if (known.get("reason"), known.get("message")) != (reason, text[:MESSAGE]):
            extra = {"plan": meta["name"], "namespace": meta["namespace"], "reason": str(reason), "error": text}
            log.warning("start refused", extra=extra)
        await self.tell(plan, phase, reason, text, runs)
        return AGAIN

    async def refuse_checked(self, plan: Json, errors: Sequence[Finding], runs: Sequence[Json]) -> float:
        """Tell what the preflight found."""
        text = "; ".join(f"{f.code} {f.message}" + (f" ({f.fix})" if f.fix else "") for f in errors[:3])
        return await self.refuse(plan, "Invalid", Reason.PREFLIGHT_FAILED, text, runs)

    async def wait_for(self, plan: Json, first: Ahead, runs: Sequence[Json]) -> float:
        """Another plan acts on the target: until somebody deletes one of both, or until its run is home."""
        if not first.run:
            return await self.tell(plan, "Invalid", Reason.ANOTHER_PLAN, f"{first}; delete one of both", runs)
        await self.tell(plan, "Pending", Reason.ANOTHER_PLAN, str(first), runs)
        return SOON

    async def stand(self, plan: Json, still: Standstill, runs: Sequence[Json]) -> float:
        """Nothing begins now, by a rule: it is looked at again when that is over, and not before."""
        await self.tell(plan, "Pending", still.reason, still.message, runs)
        return until(still.until, self.world.clock.now())

    async def unreadable(self, plan: Ref, error: Unreadable, runs: Sequence[Json]) -> float:
        """Say that a run cannot be read: in the plan's status, or as an Event of the run whose plan is gone."""
        text = f"{error}; {error.hint}"
        found = await self.world.cluster.get(plan)
        if found is not None:
            return await self.tell(found, "Invalid", Reason.UNREADABLE, text, runs)
        await tell(self.world, runs[0], Note(self.world.clock.now(), Reason.UNREADABLE, text, warning=True))
        return NEVER
