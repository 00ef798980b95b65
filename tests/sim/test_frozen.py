"""Nothing that was read is ever changed in place: in a controller it is the store's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.controller.plans import Plans
from rollout.plan.kinds import DEPLOYMENT, Ref
from rollout.plan.run import Phase
from rollout.ports.cluster import Cluster
from tests.kit.controlled import Controlled
from tests.kit.frozen import FrozenCluster, Touched
from tests.kit.sim import BAD, CRASHING, GOOD, Sim

ENDS = [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK), (CRASHING, Phase.ROLLED_BACK)]


@pytest.mark.parametrize(("image", "end"), ENDS)
@pytest.mark.parametrize("own_routes", [True, False])
async def test_the_foreground_engine_touches_nothing_it_has_read(image: str, end: Phase, own_routes: bool) -> None:
    sim = Sim(image=image, own_routes=own_routes)
    cluster = FrozenCluster(sim.memory.cluster)
    view = await sim.run(sim.engine(cluster))
    cluster.check()
    assert view.state.phase is end
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


@pytest.mark.parametrize("verb", ["pause", "skip", "undo", "abort", "retry"])
async def test_neither_does_it_when_it_is_ordered_about(verb: str) -> None:
    sim = Sim(own_routes=True, orders={12: verb})
    cluster = FrozenCluster(sim.memory.cluster)
    await sim.run(sim.engine(cluster))
    cluster.check()


@pytest.mark.parametrize(("image", "end"), ENDS)
async def test_neither_does_the_controller(image: str, end: Phase) -> None:
    world = Controlled(Sim(image=image, own_routes=True))
    world.commit()
    process = world.spawn()
    # in front of the memory of the controller: what its engine reads is what the stores have
    shared = process.controller.plans.world
    frozen = FrozenCluster(shared.cluster)
    process.controller.plans = Plans(replace(shared, cluster=frozen))
    await world.until(lambda: world.phase() == "Idle")
    world.release(image)
    await world.until(world.ended(end))
    frozen.check()
    await world.close()
    assert world.sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_a_touch_is_noticed() -> None:
    cluster: Cluster = FrozenCluster(Sim().memory.cluster)
    found = await cluster.get(Ref(DEPLOYMENT, "shop", "web"))
    assert found is not None
    assert await cluster.get(Ref(DEPLOYMENT, "shop", "web")) is found
    found["spec"]["paused"] = True
    with pytest.raises(Touched, match="Deployment/web"):
        await cluster.list(DEPLOYMENT)
