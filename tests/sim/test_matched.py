"""Chosen requests in the simulated shop: testers see the new version first, nobody else does, and all go home."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.ledger import Ledger
from rollout.controller.view import RunView
from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE
from rollout.plan.run import Phase
from tests.kit.scenes import once, play
from tests.kit.shapes import TESTER, matched
from tests.kit.sim import BAD, GOOD, VS, Sim


def only(sim: Sim, *, testers: bool) -> None:
    """From now on either testers call, or everybody else."""
    for client in sim.memory.traffic.clients:
        if (client.caller.headers == TESTER) is not testers:
            client.rate = 0.0


def at_testers(view: RunView) -> bool:
    """Testers are routed, nobody else."""
    return view.state.matched and view.state.weight == 0 and view.state.held_since is not None


async def counted(*, testers: bool) -> Ledger:
    """Who answers while only testers are routed."""
    sim = matched(GOOD)
    found: list[Ledger] = []

    def look() -> None:
        only(sim, testers=testers)
        sim.memory.traffic.fresh_ledger()
        sim.memory.run(20)
        found.append(sim.memory.traffic.fresh_ledger())

    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": GOOD}, by="ana")
    await engine.drive("shop", view.name, once(at_testers, look), until=at_testers)
    if not found:
        look()
    return found[0]


async def test_before_any_weight_testers_meet_the_candidate_and_others_never() -> None:
    chosen, others = await counted(testers=True), await counted(testers=False)
    assert set(chosen.by_workload) == {"web-canary"}
    assert set(others.by_workload) == {"web"}
    assert min(chosen.requests, others.requests) >= 100
    assert not [*chosen.failures, *others.failures]


@pytest.mark.parametrize(("image", "end"), [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)])
async def test_a_run_with_testers_ends_and_leaves_nothing(image: str, end: Phase) -> None:
    sim = matched(image)
    weights: list[tuple[float, bool]] = []
    view = await play(sim, lambda view: weights.append((view.state.weight, view.state.matched)))
    assert view.state.phase is end
    assert (0.0, True) in weights
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_a_rule_that_somebody_takes_out_comes_back_and_his_own_newer_route_is_kept() -> None:
    sim = matched(GOOD)
    newer: Json = {**VS["spec"], "http": [{**VS["spec"]["http"][0], "timeout": "7s"}]}
    write = once(at_testers, lambda: sim.memory.apply({**VS, "spec": newer}))
    sim.before["VirtualService/shop/web"] = newer
    back: list[bool] = []

    def each(view: RunView) -> None:
        write(view)
        found = sim.memory.get(VIRTUAL_SERVICE, "web")["spec"]["http"]
        back.append(len(found) == 2 and all(route["timeout"] == "7s" for route in found))

    view = await play(sim, each)
    assert view.state.phase is Phase.SUCCEEDED
    assert any(back)
    assert sim.memory.get(VIRTUAL_SERVICE, "web")["spec"] == newer


async def test_aborted_at_every_turn_all_go_home() -> None:
    seen = set()
    for turn in range(1, 60):
        sim = matched(GOOD)
        sim.orders = {turn: "abort"}
        view = await sim.run(sim.engine())
        seen.add(view.state.phase)
        assert sim.at_rest(promoted=view.state.phase is Phase.SUCCEEDED) == [], turn
    assert seen == {Phase.ABORTED, Phase.SUCCEEDED}
