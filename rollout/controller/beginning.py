"""A plan without a run under way: its status at rest, its hold, and how its next run begins.

What happens is decided in `decide.rest`; here it is read and done.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rollout import checks
from rollout.act.release import release_ops
from rollout.checks.rivals import Ahead, look_ahead
from rollout.checks.subject import hold_mode
from rollout.controller.afterwards import answer, first_order, go_back, taken
from rollout.controller.events import tell
from rollout.controller.holds import end_holds, take_over
from rollout.controller.record import Unreadable, parse
from rollout.controller.runs import next_attempt
from rollout.controller.settling import prune
from rollout.controller.starting import (
    Armed,
    StartRefused,
    Target,
    arm,
    compile_plan,
    create_run,
    let_go,
    read_revision,
)
from rollout.controller.status import MESSAGE, plan_status, rest_status
from rollout.decide.reason import Reason
from rollout.decide.rest import Last, Rest, rest_of_routes, rest_of_workload
from rollout.errors import InvalidInput, NotFound, Unsupported
from rollout.observe.observer import read_target
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import CANARY_PLAN, METRIC_TEMPLATE, Ref, ref_of
from rollout.plan.objects import CanaryPlan
from rollout.plan.parse import from_object
from rollout.plan.run import Note, Revision
from rollout.ports.cluster import guard_of
from rollout.ports.world import World

NEVER: Final = math.inf
AGAIN: Final = 30.0
"""Seconds until what forbids a start is looked at again; sooner when something that we watch changes."""
SOON: Final = 5.0
"""Seconds until another plan's run is looked at again: its end is our own write, which no watch brings us as news."""


log = logging.getLogger(__name__)

_NOBODY: Final = Target(None, Revision(), "paused")
"""In place of a target, to compile a plan that does not begin."""


@dataclass(slots=True)
class _Known:
    """What is remembered of a plan, so that it is read once for each change."""

    plan: tuple[str, int] = ("", 0)
    parsed: CanaryPlan | None = None
    last: Last | None = None
    last_version: str = ""
    compiled: tuple[object, ...] = ()
    """The versions of plan and templates that have been seen to fit together."""


@dataclass(slots=True)
class Beginning:
    """Plans at rest."""

    world: World
    _known: dict[str, _Known] = field(default_factory=dict)

    async def turn(self, plan: Json, runs: Sequence[Json]) -> float:
        """See whether a run begins; the seconds until the plan should be looked at again.

        `runs` are the plan's, the newest first; all have ended.
        """
        known = self._known.setdefault(plan["metadata"]["uid"], _Known())
        namespace, name = plan["metadata"]["namespace"], plan["metadata"]["name"]
        try:
            parsed = _parsed(known, plan)
            await end_holds(self.world, namespace, name, "has another target by now", but=_target(parsed))
            if (first := await look_ahead(self.world, parsed)) is not None:
                return await self._wait_for(plan, first, runs)
            await take_over(self.world, namespace, name, _target(parsed))
            await prune(self.world, runs, parsed.spec.history)
            last = _last(self.world, known, runs)
            order = await first_order(self.world, runs[0], last) if last else None
            if order is not None and last is not None:
                if not await answer(self.world, runs[0], last, order, _target(parsed)):
                    return 0.0
            rest = await self._look(plan, parsed, last, again=order is not None)
            if rest.act == "rest":
                with suppress(StartRefused):  # it has no pods: there is nothing to let go
                    await self._held(parsed)
            if rest.act in ("rest", "stay", "start"):
                await self._compile(known, parsed)
            wake = await self._act(plan, parsed, rest, last, runs)
        except Unreadable:
            raise
        except (InvalidInput, Unsupported) as error:
            text = f"{error}; {error.hint}" if error.hint else str(error)
            return await self._tell(plan, "Invalid", Reason.INVALID, text, runs)
        if order is not None and last is not None and wake == 0:
            await taken(self.world, runs[0], last, order)
        return wake

    async def _act(self, plan: Json, parsed: CanaryPlan, rest: Rest, last: Last | None, runs: Sequence[Json]) -> float:
        match rest.act:
            case "start":
                return await self._start(plan, parsed, runs, last)
            case "undo" if last is not None:
                await go_back(self.world, runs[0], last, _target(parsed))
                return 0.0
            case "let go":
                return await self._let_go(plan, parsed, rest, runs)
            case "stay" if last is not None and rest.reason != Reason.UNDO_ORDERED:
                status = plan_status(plan, runs[0]["metadata"]["name"], last.spec, last.state, self.world.clock.now())
                return await self._put(plan, status)
            case "stay" | "undo":
                return await self._tell(plan, "Aborted", rest.reason, rest.message, runs)
            case "wait":
                return await self._tell(plan, "Pending", rest.reason, rest.message, runs)
            case "rest":
                return await self._tell(plan, "Idle", rest.reason, rest.message, runs)

    async def _look(self, plan: Json, parsed: CanaryPlan, last: Last | None, *, again: bool) -> Rest:
        namespace = parsed.metadata.namespace
        if parsed.spec.target is not None:
            name = parsed.spec.target.name
            _, _, work = await read_target(self.world, namespace, name)
            return rest_of_workload(name, work, last, again=again)
        program = await compile_plan(self.world, parsed, "preview", _NOBODY)
        return rest_of_routes(program.split, plan["metadata"].get("generation", 1), last, again=again)

    async def _compile(self, known: _Known, parsed: CanaryPlan) -> None:
        """See whether the plan compiles, once for each change: who pushes a mistake must not hear of it at a release.

        Raises:
            InvalidInput, Unsupported: it does not.
        """
        templates = await self.world.cluster.list(METRIC_TEMPLATE, parsed.metadata.namespace)
        versions = (known.plan, *((it["metadata"]["uid"], it["metadata"]["resourceVersion"]) for it in templates))
        if known.compiled != versions:
            await compile_plan(self.world, parsed, "preview", _NOBODY)
            known.compiled = versions

    async def _start(self, plan: Json, parsed: CanaryPlan, runs: Sequence[Json], last: Last | None) -> float:
        """Check, and create the run; what forbids it is told, and looked at again later."""
        found = await checks.preflight(self.world, plan, unattended=True)
        errors = [f for f in found if f.level is Level.ERROR]
        if errors:
            text = "; ".join(f"{f.code} {f.message}" + (f" ({f.fix})" if f.fix else "") for f in errors[:3])
            return await self._refuse(plan, "Invalid", Reason.PREFLIGHT_FAILED, text, runs)
        try:
            target = await self._held(parsed)
        except StartRefused as error:
            return await self._refuse(plan, "Pending", Reason.NOT_HELD, str(error), runs)
        if target is None:
            return 0.0
        if last is not None and last.state.undo_to == target.revision.digest:
            target = replace(target, revision=replace(target.revision, undoes=last.spec.revision.digest))
        await create_run(self.world, plan, target, self.world.identity, next_attempt(runs))
        return 0.0

    async def _refuse(
        self, plan: Json, phase: Literal["Pending", "Invalid"], reason: Reason, text: str, runs: Sequence[Json]
    ) -> float:
        """Tell why no run begins: in the log once, although it is looked at again and again."""
        meta, known = plan["metadata"], plan.get("status") or {}
        if (known.get("reason"), known.get("message")) != (reason, text[:MESSAGE]):
            extra = {"plan": meta["name"], "namespace": meta["namespace"], "reason": str(reason), "error": text}
            log.warning("start refused", extra=extra)
        await self._tell(plan, phase, reason, text, runs)
        return AGAIN

    async def _let_go(self, plan: Json, parsed: CanaryPlan, rest: Rest, runs: Sequence[Json]) -> float:
        """Release what is held and need not be tried."""
        deployment, _, _ = await read_target(self.world, parsed.metadata.namespace, _target(parsed))
        if deployment is not None:
            token = f"{plan['metadata']['name']}.{deployment['metadata'].get('generation', 0)}"
            await self.world.cluster.patch(ref_of(deployment), release_ops(deployment, token), guard_of(deployment))
        return await self._tell(plan, "Pending", rest.reason, rest.message, runs)

    async def _held(self, parsed: CanaryPlan) -> Target | None:
        """The target with its next revisions held; None when it runs what it asks for: such a hold is let go.

        Raises:
            StartRefused: it is in mid-roll, or has no pods.
        """
        mode = await hold_mode(self.world, parsed)
        armed = await arm(self.world, parsed, mode, {}) if parsed.spec.target else Armed()
        target = await read_revision(self.world, parsed, mode, armed)
        if parsed.spec.target is None or target.revision.digest != target.revision.stable_digest:
            return target
        await let_go(self.world, target)
        return None

    async def tell_unreadable(self, namespace: str, name: str, error: Unreadable, runs: Sequence[Json]) -> float:
        """Say that a run cannot be read: in the plan's status, or as an Event of the run whose plan is gone."""
        text = f"{error}; {error.hint}"
        plan = await self.world.cluster.get(Ref(CANARY_PLAN, namespace, name))
        if plan is not None:
            return await self._tell(plan, "Invalid", Reason.UNREADABLE, text, runs)
        await tell(self.world, runs[0], Note(self.world.clock.now(), Reason.UNREADABLE, text, warning=True))
        return NEVER

    async def _wait_for(self, plan: Json, first: Ahead, runs: Sequence[Json]) -> float:
        """Another plan acts on the target: until somebody deletes one of both, or until its run is home."""
        if not first.run:
            return await self._tell(plan, "Invalid", Reason.ANOTHER_PLAN, f"{first}; delete one of both", runs)
        await self._tell(plan, "Pending", Reason.ANOTHER_PLAN, str(first), runs)
        return SOON

    async def _tell(
        self,
        plan: Json,
        phase: Literal["Idle", "Pending", "Invalid", "Aborted"],
        reason: Reason,
        message: str,
        runs: Sequence[Json],
    ) -> float:
        run = runs[0]["metadata"]["name"] if runs else ""
        return await self._put(plan, rest_status(plan, phase, reason, message, run, self.world.clock.now()))

    async def _put(self, plan: Json, status: Json) -> float:
        """Write the status if it is another one."""
        if status != plan.get("status"):
            with suppress(NotFound):
                await self.world.cluster.put_status(ref_of(plan), status, guard_of(plan))
        return NEVER


def _parsed(known: _Known, plan: Json) -> CanaryPlan:
    version = (plan["metadata"]["uid"], plan["metadata"].get("generation", 1))
    if known.parsed is None or known.plan != version:
        parsed = from_object({key: value for key, value in plan.items() if key != "status"})
        if not isinstance(parsed, CanaryPlan):
            raise InvalidInput(f"a {plan['kind']} is not a plan", hint="give a CanaryPlan")
        known.parsed, known.plan = parsed, version
    return known.parsed


def _last(world: World, known: _Known, runs: Sequence[Json]) -> Last | None:
    if not runs:
        return None
    version = f"{runs[0]['metadata']['uid']}/{runs[0]['metadata']['resourceVersion']}"
    if known.last is None or known.last_version != version:
        record = parse(world.cluster, world.clock, runs[0])
        known.last, known.last_version = Last(record.spec, record.state), version
    return known.last


def _target(parsed: CanaryPlan) -> str:
    return parsed.spec.target.name if parsed.spec.target else ""
