"""Whole runs by each router that splits between Services: promotion, rollback, killed after every write, at rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.controller.view import RunView
from rollout.plan.base import Json
from rollout.plan.kinds import TRAFFIC_SPLITS, Ref
from rollout.plan.run import Phase
from tests.conformance import service_manifests as given
from tests.kit.scenes import play
from tests.kit.sim import BAD, GOOD, Sim, plan

EXAMPLES = Path(__file__).parents[2] / "examples"
STORIES = [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)]


def read(story: str, name: str) -> Any:
    return yaml.safe_load((EXAMPLES / story / f"{name}.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Way:
    """A router, and what the owner has written for it."""

    router: str
    routes: tuple[str, ...] = ()

    hostname: str = ""
    """By which all requests come, where they come through a Gateway."""

    def sim(self, image: str) -> Sim:
        written: list[Json] = given.objects(*self.routes)
        sim = Sim(image=image, routes=tuple(written), plan=plan(router={"type": self.router}))
        if self.hostname:
            come_by(sim, self.hostname)
        return sim


def come_by(sim: Sim, hostname: str) -> None:
    """From now on all requests come through a Gateway."""
    sim.memory.traffic.clients.clear()
    sim.memory.traffic.add_client("web", "shop", 100.0, hostname=hostname)


WAYS = {
    "smi, made": Way("smi"),
    "smi, owner's": Way("smi", (given.SIM_ROOT,)),
    "smi, quantities": Way("smi", (given.SIM_QUANTITIES,)),
    "gateway, outside": Way("gateway", (given.SIM_OUTSIDE,), "shop.example.com"),
    "mesh, made": Way("gateway-mesh"),
    "mesh, owner's": Way("gateway-mesh", (given.PRODUCER,)),
    "linkerd, made": Way("linkerd"),
    "linkerd, owner's": Way("linkerd", (given.SIM_POLICY,)),
    "consul, made": Way("consul", (given.HTTP_DEFAULTS,)),
    "consul, owner's": Way(
        "consul", (given.HTTP_DEFAULTS, given.RESOLVER, given.SIM_SPLITTER, given.SIM_SERVICE_ROUTER)
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("image", "end"), STORIES)
async def test_a_run_splits_the_traffic_and_leaves_no_trace(way: str, image: str, end: Phase) -> None:
    sim = WAYS[way].sim(image)
    seen = sim.memory.traffic.ledger.by_workload
    view = await sim.run(sim.engine())
    assert (view.state.phase, sim.at_rest(promoted=end is Phase.SUCCEEDED)) == (end, [])
    assert seen["web-canary"] > 0, "the candidate got requests"
    assert seen["web"] > seen["web-canary"] or end is Phase.SUCCEEDED


@pytest.mark.parametrize("way", WAYS)
async def test_the_simulated_world_splits_by_these_objects(way: str) -> None:
    """At 10 % the candidate gets a tenth of the requests, within six standard deviations."""
    sim = WAYS[way].sim(GOOD)
    counted: list[tuple[int, int]] = []

    def look(view: RunView) -> None:
        ledger = sim.memory.traffic.ledger
        if view.state.weight == 10 and view.state.held_since is not None:
            counted.append((ledger.by_workload["web-canary"], ledger.requests))

    await play(sim, look)
    candidate, total = (counted[-1][i] - counted[0][i] for i in (0, 1))
    assert total >= 300
    assert abs(candidate - total / 10) < 6 * (total * 0.09) ** 0.5


@pytest.mark.parametrize("way", ["gateway, outside", "mesh, made", "consul, made"])
async def test_what_no_controller_has_looked_at_is_not_relied_on(way: str) -> None:
    """On the way out it waits before the candidate exists; on the way home it keeps the candidate that still serves."""
    sim = WAYS[way].sim(BAD)
    gateways = sim.memory.consul if way.startswith("consul") else sim.memory.gateways
    told: list[str] = []

    def look(view: RunView) -> None:
        told.append(view.state.message)
        first = len(told) == 1
        gateways.away = first or (gateways.away and len(told) < 30)
        if gateways.away and not first:
            assert not sim.pods(canary=True), "no candidate behind routes that do not hold"

    view = await play(sim, look)
    assert any("the routes do not hold yet" in text for text in told)
    assert (view.state.phase, sim.at_rest(promoted=False)) == (Phase.ROLLED_BACK, [])


async def test_a_candidate_that_may_still_get_requests_is_kept() -> None:
    sim = WAYS["mesh, owner's"].sim(BAD)
    waited: list[str] = []

    def look(view: RunView) -> None:
        if view.state.phase is Phase.ROLLING_BACK and len(waited) < 20:
            sim.memory.gateways.away = True
            waited.append(view.state.message)
            assert sim.pods(canary=True)
        else:
            sim.memory.gateways.away = False

    view = await play(sim, look)
    assert any("requests may still go to the candidate" in text for text in waited)
    assert (view.state.phase, sim.at_rest(promoted=False)) == (Phase.ROLLED_BACK, [])


@pytest.mark.parametrize(
    ("story", "route"),
    [("smi", ""), ("gateway", "route"), ("gateway-mesh", ""), ("linkerd", ""), ("consul", "defaults")],
)
@pytest.mark.parametrize(("image", "end"), STORIES)
async def test_an_example_ends_as_its_readme_tells(story: str, route: str, image: str, end: Phase) -> None:
    sim = Sim(plan=read(story, "canary"), image=image, routes=(read(story, route),) if route else ())
    if route == "route":
        come_by(sim, "shop.example.com")
    view = await play(sim)
    assert (view.state.phase, sim.at_rest(promoted=end is Phase.SUCCEEDED)) == (end, [])


@pytest.mark.parametrize(
    ("image", "end", "weights"), [(GOOD, Phase.SUCCEEDED, [0, 100]), (BAD, Phase.ROLLED_BACK, [1000, 0])]
)
async def test_the_tutorial_split_moves_and_comes_back(image: str, end: Phase, weights: list[int]) -> None:
    sim = Sim(plan=read("smi-traffic-only", "canary"), image="")
    for name, version in (("web-v1", "shop/web:1.0"), ("web-v2", image)):
        sim.memory.deploy_shop(name=name, image=version, rate=0.0)
    split = read("smi-traffic-only", "split")
    sim.memory.apply(split)
    sim.memory.run(10)
    sim.memory.traffic.fresh_ledger()
    sim.before = sim.data_path()
    seen: list[list[int]] = []

    def look(_: RunView) -> None:
        seen.append([it["weight"] for it in sim.memory.get(TRAFFIC_SPLITS[0], "web")["spec"]["backends"]])

    view = await play(sim, look)
    assert view.state.phase is end
    assert [50, 50] in seen, "by way of 500/500"
    assert sim.memory.get(TRAFFIC_SPLITS[0], "web")["spec"]["backends"] == [
        {"service": name, "weight": weight} for name, weight in zip(("web-v1", "web-v2"), weights, strict=True)
    ]
    sim.before[str(Ref(TRAFFIC_SPLITS[0], "shop", "web"))] = sim.memory.get(TRAFFIC_SPLITS[0], "web")["spec"]
    assert sim.at_rest() == []
    assert sim.memory.traffic.ledger.by_workload["web-v2"] > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "image", "end"),
    [
        ("smi, made", *STORIES[1]),
        ("smi, owner's", *STORIES[0]),
        ("mesh, made", *STORIES[0]),
        ("consul, owner's", *STORIES[1]),
    ],
)
async def test_killed_after_every_write_it_ends_the_same(way: str, image: str, end: Phase) -> None:
    counted = WAYS[way].sim(image)
    cluster = FaultyCluster(counted.memory.cluster, FaultPlan())
    await counted.run(counted.engine(cluster))
    for number in range(1, cluster.writes + 1):
        sim = WAYS[way].sim(image)
        view = await sim.survive(FaultPlan(at_write={number: Fault.CRASH_AFTER}))
        assert (number, view.state.phase, sim.at_rest(promoted=end is Phase.SUCCEEDED)) == (number, end, [])
