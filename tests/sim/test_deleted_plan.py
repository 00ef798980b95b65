"""A plan is deleted in mid-run: the run goes home, and then goes itself."""

from __future__ import annotations

from rollout.decide.reason import Reason
from rollout.plan.kinds import CANARY_PLAN, PLAN_RUN, Ref
from rollout.plan.run import Phase
from rollout.ports.cluster import guard_of
from tests.kit.sim import Sim


async def test_the_run_of_a_deleted_plan_ends_aborted_and_is_collected() -> None:
    sim = Sim()
    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": sim.image}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.weight > 0)
    ref = Ref(CANARY_PLAN, "shop", "web")
    stored = await sim.memory.cluster.get(ref)
    assert stored is not None
    await sim.memory.cluster.delete(ref, guard_of(stored))
    sim.memory.run(2)
    view = await engine.drive("shop", view.name, lambda _: None)
    assert (view.state.phase, view.state.reason) == (Phase.ABORTED, Reason.PLAN_DELETED)
    sim.memory.run(5)
    assert await sim.memory.cluster.get(Ref(PLAN_RUN, "shop", view.name)) is None
    assert not sim.pods(canary=True)
