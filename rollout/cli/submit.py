"""Handing a plan to the controller that looks after its namespace, and following what becomes of it.

The controller starts every new revision by itself, so there is little to do: write plan and images, the new revision
held in the same write, and find the run that belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from rollout.checks.subject import hold_mode
from rollout.cli import orders
from rollout.cli.exit import Interrupted, TimedOut
from rollout.cli.follow import interruptible
from rollout.cli.out import Printer
from rollout.cli.render.words import GO
from rollout.cli.session import Session
from rollout.cli.source import Given
from rollout.cli.watch import follow
from rollout.controller.leader import Controller
from rollout.controller.starting import Armed, StartRefused, apply_plan, arm
from rollout.controller.view import RunView
from rollout.errors import InvalidInput, Retry
from rollout.observe.observer import read_target
from rollout.observe.workload import full_size
from rollout.plan.base import Json
from rollout.plan.kinds import ref_of
from rollout.plan.objects import CanaryPlan, Plan
from rollout.plan.run import Phase, Verb

LOOK: Final = 1.0
PATIENCE: Final = 60.0
"""Seconds that the controller gets to start a run, while none of the plan is under way."""
TRIES: Final = 5

Say = Callable[[RunView], None]


async def through(
    session: Session,
    printer: Printer,
    given: Given,
    images: dict[str, str],
    *,
    controller: Controller,
    limit: float | None,
    say: Say,
) -> RunView:
    """Submit, and follow the run to its end; `say` is told of the run once, when it is there.

    Raises:
        Interrupted, TimedOut: the run goes on without us.
    """
    meta = given.plan.metadata

    async def work() -> RunView:
        view = await _submitted(session, printer, given, images)
        say(view)
        return await follow(session, printer, view)

    at = f"{meta.name} -n {meta.namespace}"
    hint = f'rollout watch {at}, or rollout abort {at} --reason "..."'
    goes_on = f"this only stops following: the controller {controller.identity} goes on"
    try:
        return await interruptible(work(), limit)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {goes_on}", hint=hint) from None
    except TimeoutError:
        raise TimedOut(f"the time is over; {goes_on}", hint=hint) from None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How the run is recognised: by the revision that it tries, without a target by the plan's generation."""

    digest: str
    generation: int

    def fits(self, view: RunView) -> bool:
        if self.digest:
            return view.spec.revision.digest == self.digest
        return view.spec.plan_generation == self.generation


async def _submitted(session: Session, printer: Printer, given: Given, images: dict[str, str]) -> RunView:
    """Write what is wanted, and return the controller's run of it."""
    world, meta = session.world, given.plan.metadata
    before = await session.engine.runs(given.ref)
    for template in given.objects:
        await apply_plan(world, template)
    plan = await apply_plan(world, given.raw)
    wanted = _Wanted(await _arm(session, given.plan, images), plan["metadata"].get("generation", 1))
    newest = before[0] if before else None
    if newest is not None and wanted.fits(newest):
        if not newest.state.phase.ended:
            return newest
        if newest.spec.program.adoption is not None and newest.state.phase is Phase.SUCCEEDED:
            raise StartRefused(
                f"run {newest.name} has done what this plan asks for",
                (),
                hint=f"rollout mesh report -n {meta.namespace} tells how it is; another plan gets another run",
            )
        await _refuse_nothing_new(session, given.plan, wanted)
        if newest.state.phase is not Phase.SUCCEEDED:
            printer.say(f"run {newest.name} of this version is {newest.state.phase}: it is tried again")
            answer = await orders.give(session, newest, "retry", reason="rollout start")
            if answer.outcome is orders.Outcome.REFUSED:
                raise InvalidInput(answer.message, hint=f"rollout why {newest.name} -n {meta.namespace}")
    else:
        await _refuse_nothing_new(session, given.plan, wanted)
    printer.say("  the controller has it; waiting for its run")
    return await _awaited(session, plan, wanted, before)


async def _arm(session: Session, plan: Plan, images: dict[str, str]) -> str:
    """Set the images, held; the digest of the revision that is asked for then.

    Raises:
        Retry: the controller or somebody else wrote the Deployment at the same moment, again and again.
    """
    if not isinstance(plan, CanaryPlan) or plan.spec.target is None:
        return Armed().digest
    mode = await hold_mode(session.world, plan)
    for attempt in range(TRIES):
        try:
            return (await arm(session.world, plan, mode, images)).digest
        except Retry as error:
            if attempt == TRIES - 1:
                raise
            await session.world.clock.sleep(error.after)
    raise AssertionError("the last try returns or raises")


async def _refuse_nothing_new(session: Session, plan: Plan, wanted: _Wanted) -> None:
    """Waiting would be in vain where the version that is asked for is the one that runs.

    Raises:
        StartRefused: it is.
    """
    if not isinstance(plan, CanaryPlan) or plan.spec.target is None:
        return
    name = plan.spec.target.name
    _, sets, work = await read_target(session.world, plan.metadata.namespace, name)
    stable = full_size(sets)
    if stable is None or work is None:
        return
    running = next(rs for rs in work.replica_sets if rs.hash == stable["metadata"]["labels"]["pod-template-hash"])
    if running.digest == wanted.digest:
        raise StartRefused(
            f"Deployment/{name} asks for the version that is stable: there is nothing to try",
            (),
            hint="name a new image: rollout start PLAN --image CONTAINER=IMAGE, or push it to Git",
        )


async def _awaited(session: Session, plan: Json, wanted: _Wanted, before: Sequence[RunView]) -> RunView:
    """The run that the controller makes; one of another revision that is under way goes home first."""
    meta, clock = plan["metadata"], session.world.clock
    known, told = {view.uid for view in before}, _trouble(plan)
    patience = clock.now() + PATIENCE
    while clock.now() < patience:
        try:
            runs = await session.engine.runs(ref_of(plan))
            now = await session.world.cluster.get(ref_of(plan)) or plan
        except Retry:
            await clock.sleep(LOOK)
            continue
        if found := next((view for view in runs if view.uid not in known and wanted.fits(view)), None):
            return found
        if any(not view.state.phase.ended for view in runs):
            patience = clock.now() + PATIENCE
        elif (trouble := _trouble(now)) and trouble != told:
            raise InvalidInput(
                trouble[0], where=f"plan {meta['name']}", hint=f"rollout check {meta['name']} -n {meta['namespace']}"
            )
        await clock.sleep(LOOK)
    raise TimedOut(
        f"the controller has not started a run of plan {meta['name']} in {PATIENCE:g}s",
        hint=f"rollout get {meta['name']} -n {meta['namespace']} -o wide; does its --selector leave this plan out?",
    )


def _trouble(plan: Json) -> tuple[str, str] | None:
    """Why the controller does not act on this spec, and since when; None when it does."""
    status, generation = plan.get("status") or {}, plan["metadata"].get("generation", 1)
    if status.get("observedGeneration") != generation:
        return None
    for condition in status.get("conditions", []):
        if condition["type"] == "Stalled" and condition["status"] == "True":
            said = f"{condition.get('reason', '')}: {condition.get('message', '')}"
            return said, condition.get("lastTransitionTime", "")
    return None


async def renew(
    session: Session, printer: Printer, ended: RunView, verb: Verb, *, reason: str, to_revision: int | None = None
) -> int:
    """Order a successor of a run that has ended, and say which run it became."""
    known = {view.uid for view in await session.engine.runs(ended.owner)}
    answer = await orders.give(session, ended, verb, reason=reason, to_revision=to_revision)
    code = orders.tell(printer, answer)
    if answer.outcome is orders.Outcome.REFUSED:
        return code
    clock = session.world.clock
    until = clock.now() + orders.PATIENCE
    while clock.now() < until:
        runs = await session.engine.runs(ended.owner)
        if fresh := next((view for view in runs if view.uid not in known), None):
            printer.say(Text.assemble(GO, f" run {fresh.name} started"))
            break
        await clock.sleep(LOOK)
    return code
