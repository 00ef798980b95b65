"""Events of a run: each note is told by itself, whatever became of the one before."""

from __future__ import annotations

from dataclasses import replace

from rollout.controller.events import event
from rollout.controller.record import load
from rollout.controller.report import report
from rollout.decide.reason import Reason
from rollout.plan.kinds import EVENT, PLAN_RUN, Ref
from rollout.plan.run import Note
from tests.kit.sim import Sim


async def test_an_event_that_was_told_before_keeps_the_next_one_from_nothing() -> None:
    sim = Sim()
    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": sim.image}, by="ana")
    world = engine.world
    record = await load(world.cluster, world.clock, Ref(PLAN_RUN, view.namespace, view.name))
    now = world.clock.now()
    notes = [Note(now, Reason.PAUSED, "told by a turn that died"), Note(now, Reason.RESUMED, "not told yet")]
    record.state = record.stored = replace(record.state, notes=(*record.state.notes, *notes))
    sim.memory.apply(event(record.run, notes[0]))
    await report(world, record)
    assert {"told by a turn that died", "not told yet"} <= {it["note"] for it in sim.memory.objects.of(EVENT)}
