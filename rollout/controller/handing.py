"""A plan of adoption that changes while a run of it is under way: the next run takes over what the last one has done.

Going home first, as a canary does for a newer version, would make every pod of the namespace anew, twice.  So the old
run gives way where it stands, and its journal goes on in the new one: an abort of that one undoes both.  The new run is
made first, then it is given the journal, then the old one ends; killed in between, all three are done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rollout import checks
from rollout.controller.adoption import create_adoption
from rollout.controller.record import Record, parse
from rollout.controller.runs import ended, next_attempt
from rollout.controller.starting import StartRefused
from rollout.decide.reason import Reason
from rollout.decide.turn import note
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.program import Program
from rollout.plan.run import Entry, Phase
from rollout.ports.world import World

GIVES_WAY: Final = frozenset({Phase.PENDING, Phase.PROGRESSING, Phase.AWAITING_APPROVAL, Phase.HOLDING, Phase.HELD})
"""Phases in which a run is handed over: not on its way back, and not while a person has paused it."""
EARLIER: Final = -1
"""In place of the step of a line whose step the new program does not have: only an abort undoes it."""


def outdated(plan: Json, record: Record) -> bool:
    """Whether a run is of an older generation of its plan, and may give way."""
    older = record.spec.plan_generation < plan["metadata"].get("generation", 1)
    return older and record.spec.program.adoption is not None and record.state.phase in GIVES_WAY


async def hand_over(world: World, plan: Json, runs: Sequence[Json], record: Record, by: str) -> Json:
    """Begin the run of the plan's present generation, with all that the outdated one of `record` has done.

    `runs` are all of the plan, the newest first.

    Raises:
        StartRefused: the checks forbid it; the old run goes on.
        InvalidInput: the plan does not fit the namespace; the old run goes on.
    """
    generation = plan["metadata"].get("generation", 1)
    made = next((it for it in runs if not ended(it) and it["spec"]["planGeneration"] >= generation), None)
    if made is None:
        errors = [it for it in await checks.preflight(world, plan, unattended=True) if it.level is Level.ERROR]
        if errors:
            raise StartRefused(f"{errors[0].code} {errors[0].message}", errors, hint=errors[0].fix)
        made = await create_adoption(world, plan, by, next_attempt(runs))
    heir, now = parse(world.cluster, world.clock, made), world.clock.now()
    lines = tuple(_carried(it, record.spec.program, heir.spec.program) for it in record.state.journal)
    text = f"goes on from run {record.ref.name} of generation {record.spec.plan_generation}"
    await heir.save(note(replace(heir.state, journal=lines), now, Reason.STARTED, text))
    text = f"run {heir.ref.name} of generation {generation} takes over"
    given = note(replace(record.state, journal=(), holding=None), now, Reason.NEW_REVISION, text)
    phase = Phase.SUPERSEDED
    await record.save(replace(given, phase=phase, outcome=phase, reason=Reason.NEW_REVISION, message=text, ended=now))
    return heir.run


async def refused(record: Record, world: World, text: str) -> None:
    """Write into the run, once, why the changed plan does not take over."""
    if all(it.message != text for it in record.state.notes):
        await record.save(note(record.state, world.clock.now(), Reason.PREFLIGHT_FAILED, text, warning=True))


def _carried(entry: Entry, old: Program, new: Program) -> Entry:
    """A line with the place that its step has in the new program."""
    if entry.step is None or not 0 <= entry.step < len(old.steps):
        return entry
    name = old.steps[entry.step].name
    place = next((index for index, step in enumerate(new.steps) if step.name == name), EARLIER)
    return replace(entry, step=place)
