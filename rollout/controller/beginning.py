"""A CanaryPlan without a run under way: its status at rest, its hold, and how its next run begins.

What happens is decided in `decide.rest`; here it is read and done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Final

from rollout import checks
from rollout.act.release import release_ops
from rollout.checks.flaws import refuse_flawed
from rollout.checks.rivals import look_ahead
from rollout.checks.subject import hold_mode, templates_of
from rollout.controller.afterwards import answer, first_order, go_back, refuse, taken
from rollout.controller.holds import end_holds, take_over
from rollout.controller.queueing import circle_of, depends, queued
from rollout.controller.record import Unreadable
from rollout.controller.resting import Known, Teller
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
from rollout.controller.status import plan_status
from rollout.decide.keeping import unready
from rollout.decide.reason import Reason
from rollout.decide.rest import Last, Rest, rest_of_routes, rest_of_workload
from rollout.errors import InvalidInput, Unsupported
from rollout.observe.observer import read_target
from rollout.observe.timing import stored_freezes, timing_of
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import METRIC_TEMPLATE, Ref, ref_of
from rollout.plan.objects import CanaryPlan
from rollout.plan.run import Revision
from rollout.ports.cluster import guard_of
from rollout.ports.world import World

_NOBODY: Final = Target(None, Revision(), "paused")
"""In place of a target, to compile a plan that does not begin."""


@dataclass(slots=True)
class Beginning:
    """CanaryPlans at rest; see `cares.Care`."""

    world: World
    teller: Teller = field(init=False)
    _known: dict[str, Known[CanaryPlan]] = field(default_factory=dict)
    _places: dict[str, asyncio.Lock] = field(default_factory=dict)
    """Of two plans that see one place free in a namespace, one takes it."""

    def __post_init__(self) -> None:
        self.teller = Teller(self.world)

    async def turn(self, plan: Json, runs: Sequence[Json]) -> float:
        """See whether a run begins; the seconds until the plan should be looked at again.

        `runs` are the plan's, the newest first; all have ended.
        """
        known = self._known.setdefault(plan["metadata"]["uid"], Known(CanaryPlan))
        namespace, name = plan["metadata"]["namespace"], plan["metadata"]["name"]
        try:
            parsed = known.parse(plan)
            await end_holds(self.world, namespace, name, "has another target by now", but=_target(parsed))
            if (first := await look_ahead(self.world, parsed)) is not None:
                return await self.teller.wait_for(plan, first, runs)
            await take_over(self.world, namespace, name, _target(parsed))
            await prune(self.world, runs, parsed.spec.history)
            last = known.newest(self.world, runs)
            order = await first_order(self.world, runs[0], last) if last else None
            if order is not None and last is not None:
                if not await answer(self.world, runs[0], last, order, _target(parsed)):
                    return 0.0
            rest = await self._look(plan, parsed, last, again=order is not None)
            if (left := known.passing(rest, self.world.clock.now())) > 0:
                return left
            if order is not None and last is not None and rest.forgone:
                await refuse(self.world, runs[0], last, order, rest.forgone)
                return 0.0
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
            return await self.teller.tell(plan, "Invalid", Reason.INVALID, text, runs)
        if order is not None and last is not None and rest.act == "start" and wake == 0:
            await taken(self.world, runs[0], last, order)
        return wake

    async def renewed(self, plan: Json, run: Json, runs: Sequence[Json]) -> bool:
        """Never: another version ends a run by going home, which the engine sees; another plan is for the next run."""
        return False

    async def gone(self, plan: Ref) -> None:
        """A plan is not there any more: what is held for it is held no more."""
        await end_holds(self.world, plan.namespace, plan.name, "is gone")

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
                return await self.teller.put(plan, status)
            case "stay" | "undo":
                return await self.teller.tell(plan, "Aborted", rest.reason, rest.message, runs)
            case "wait":
                return await self.teller.tell(plan, "Pending", rest.reason, rest.message, runs)
            case "rest":
                return await self.teller.tell(plan, "Idle", rest.reason, rest.message, runs)

    async def _look(self, plan: Json, parsed: CanaryPlan, last: Last | None, *, again: bool) -> Rest:
        namespace = parsed.metadata.namespace
        if parsed.spec.target is not None:
            name = parsed.spec.target.name
            _, _, work = await read_target(self.world, namespace, name)
            return rest_of_workload(name, work, last, again=again)
        program = await compile_plan(self.world, parsed, "preview", _NOBODY)
        return rest_of_routes(program.split, plan["metadata"].get("generation", 1), last, again=again)

    async def _compile(self, known: Known[CanaryPlan], parsed: CanaryPlan) -> None:
        """See whether the plan compiles, and what lint says: who pushes a mistake must not hear of it at a release.

        Once for each change.

        Raises:
            InvalidInput, Unsupported: it does not.
        """
        templates = await self.world.cluster.list(METRIC_TEMPLATE, parsed.metadata.namespace)
        versions = (known.plan, *((it["metadata"]["uid"], it["metadata"]["resourceVersion"]) for it in templates))
        if known.compiled != versions:
            await compile_plan(self.world, parsed, "preview", _NOBODY)
            refuse_flawed(self.world, parsed, await templates_of(self.world, parsed.metadata.namespace))
            known.compiled = versions

    async def _start(self, plan: Json, parsed: CanaryPlan, runs: Sequence[Json], last: Last | None) -> float:
        """Check, and create the run; what forbids it is told, and looked at again later."""
        when = timing_of(parsed, await stored_freezes(self.world.cluster))
        if (still := unready(when, self.world.clock.now())) is not None:
            return await self.teller.stand(plan, still, runs)
        if found := await circle_of(self.world, parsed):
            return await self.teller.refuse(plan, "Invalid", Reason.INVALID, found, runs)
        if (still := await depends(self.world, parsed)) is not None:
            return await self.teller.stand(plan, still, runs)
        async with self._place(parsed):
            if (still := await queued(self.world, parsed)) is not None:
                return await self.teller.stand(plan, still, runs)
            return await self._create(plan, parsed, runs, last)

    def _place(self, parsed: CanaryPlan) -> AbstractAsyncContextManager[None]:
        """Only who has a limit waits for others that have one."""
        unlimited = parsed.spec.at_most is None
        return nullcontext() if unlimited else self._places.setdefault(parsed.metadata.namespace, asyncio.Lock())

    async def _create(self, plan: Json, parsed: CanaryPlan, runs: Sequence[Json], last: Last | None) -> float:
        found = await checks.preflight(self.world, plan, unattended=True)
        errors = [f for f in found if f.level is Level.ERROR]
        if errors:
            return await self.teller.refuse_checked(plan, errors, runs)
        try:
            target = await self._held(parsed)
        except StartRefused as error:
            return await self.teller.refuse(plan, "Pending", Reason.NOT_HELD, str(error), runs)
        if target is None:
            return 0.0
        if last is not None and last.state.undo_to == target.revision.digest:
            target = replace(target, revision=replace(target.revision, undoes=last.spec.revision.digest))
        await create_run(self.world, plan, target, self.world.identity, next_attempt(runs))
        return 0.0

    async def _let_go(self, plan: Json, parsed: CanaryPlan, rest: Rest, runs: Sequence[Json]) -> float:
        """Release what is held and need not be tried."""
        deployment, _, _ = await read_target(self.world, parsed.metadata.namespace, _target(parsed))
        if deployment is not None:
            token = f"{plan['metadata']['name']}.{deployment['metadata'].get('generation', 0)}"
            await self.world.cluster.patch(ref_of(deployment), release_ops(deployment, token), guard_of(deployment))
        return await self.teller.tell(plan, "Pending", rest.reason, rest.message, runs)

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


def _target(parsed: CanaryPlan) -> str:
    return parsed.spec.target.name if parsed.spec.target else ""
