"""Killed after every single write, exhaustively: another engine goes on, and the end is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.run import Phase
from tests.kit.scenes import STABLE, git
from tests.kit.sim import BAD, GOOD, VS, Sim, plan

STORIES = [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)]


async def writes_of(sim: Sim) -> int:
    """How many writes a run without faults takes."""
    cluster = FaultyCluster(sim.memory.cluster, FaultPlan())
    await sim.run(sim.engine(cluster))
    return cluster.writes


def native(image: str) -> Sim:
    """The Deployment rolls under the plain Service."""
    return Sim(image=image, plan=plan(promotion={"mode": "native", "deadline": "5m"}))


def paused(image: str) -> Sim:
    """No policy, and the owner's Deployment rests paused."""
    sim = Sim(image=image, hold_policy=False)
    sim.memory.apply(git(STABLE) | {"spec": git(STABLE)["spec"] | {"paused": True}})
    sim.before = sim.data_path()
    return sim


def traffic_only(image: str) -> Sim:
    """The owner's route moves between two Deployments of his; promoted, it stays moved."""
    wanted = plan(traffic={"stable": {"host": "web"}, "candidate": {"host": "web2"}, "workloads": ["web", "web2"]})
    wanted["spec"] |= {"service": "web"}
    del wanted["spec"]["target"]
    sim = Sim(image="", plan=wanted)
    sim.memory.deploy_shop(name="web2", image=image, rate=0.0)
    sim.memory.apply({**VS, "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}})
    sim.memory.run(10)
    sim.memory.traffic.fresh_ledger()
    sim.before = sim.data_path()
    if image == GOOD:
        moved = [{"destination": {"host": "web"}, "weight": 0}, {"destination": {"host": "web2"}, "weight": 100}]
        sim.before[str(Ref(VIRTUAL_SERVICE, "shop", "web"))]["http"] = [{"route": moved}]
    return sim


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LOST_AFTER])
@pytest.mark.parametrize("story", [native, paused, traffic_only])
@pytest.mark.parametrize(("image", "outcome"), STORIES)
async def test_other_kinds_of_runs_killed_at_every_write(
    image: str, outcome: Phase, story: Callable[[str], Sim], fault: Fault
) -> None:
    total = await writes_of(story(image))
    assert total > 8
    promoted = None if story is traffic_only else outcome is Phase.SUCCEEDED
    for number in range(1, total + 1):
        sim = story(image)
        view = await sim.survive(FaultPlan(at_write={number: fault}))
        assert (number, view.state.phase, sim.at_rest(promoted=promoted)) == (number, outcome, [])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.CRASH_BEFORE, Fault.LOST_AFTER, Fault.DUPLICATE])
@pytest.mark.parametrize("own_routes", [False, True])
@pytest.mark.parametrize(("image", "outcome"), STORIES)
async def test_killed_at_every_write(image: str, outcome: Phase, own_routes: bool, fault: Fault) -> None:
    total = await writes_of(Sim(own_routes=own_routes, image=image))
    assert total > 15
    for number in range(1, total + 1):
        sim = Sim(own_routes=own_routes, image=image)
        view = await sim.survive(FaultPlan(at_write={number: fault}))
        wrong = sim.at_rest(promoted=outcome is Phase.SUCCEEDED)
        assert (number, view.state.phase, wrong) == (number, outcome, [])
