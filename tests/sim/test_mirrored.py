"""Copies of requests in the simulated shop: a version is judged by them before anybody gets an answer of it."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.ledger import Ledger
from rollout.controller.view import RunView
from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE
from rollout.plan.run import Phase
from tests.kit.scenes import once, play
from tests.kit.shapes import mirrored
from tests.kit.sim import BAD, GOOD, VS


def at_copies(view: RunView) -> bool:
    """Requests are copied, and nobody is sent to the candidate."""
    return view.state.mirrored == 30 and view.state.weight == 0 and view.state.held_since is not None


async def test_the_candidate_sees_its_share_of_copies_and_answers_nobody() -> None:
    sim = mirrored(GOOD)
    found: list[Ledger] = []

    def look() -> None:
        sim.memory.traffic.fresh_ledger()
        sim.memory.run(60)
        found.append(sim.memory.traffic.fresh_ledger())

    await play(sim, once(at_copies, look))
    [seen] = found
    assert seen.by_workload.keys() == {"web"}
    assert seen.requests >= 500
    assert 0.25 < seen.copies["web-canary"] / seen.requests < 0.35
    assert not seen.failures


async def test_a_bad_version_is_found_by_copies_and_no_request_fails() -> None:
    sim = mirrored(BAD)
    view = await play(sim)
    assert view.state.phase is Phase.ROLLED_BACK
    assert "mirror-30" in {note.message.rpartition(" ")[2] for note in view.state.notes} or view.state.step == 0
    assert sim.memory.traffic.ledger.failed == 0
    assert sim.memory.traffic.ledger.copies["web-canary"] > 0
    assert sim.at_rest(promoted=False) == []


async def test_a_good_version_goes_on_to_weights_and_leaves_nothing() -> None:
    sim = mirrored(GOOD)
    asked: set[tuple[float, float]] = set()
    view = await play(sim, lambda view: asked.add((view.state.weight, view.state.mirrored)))
    assert view.state.phase is Phase.SUCCEEDED
    assert asked >= {(0, 30), (10, 0), (50, 0), (100, 0)}
    assert all(copies == 0 for weight, copies in asked if weight)
    assert sim.at_rest(promoted=True) == []


async def test_copies_that_somebody_takes_out_come_back_and_his_own_newer_route_is_kept() -> None:
    sim = mirrored(GOOD)
    audit = [{"destination": {"host": "audit"}}]
    newer: Json = {**VS["spec"], "http": [{**VS["spec"]["http"][0], "mirrors": audit}]}
    write = once(at_copies, lambda: sim.memory.apply({**VS, "spec": newer}))
    sim.before["VirtualService/shop/web"] = newer
    back: list[bool] = []

    def each(view: RunView) -> None:
        write(view)
        [route] = sim.memory.get(VIRTUAL_SERVICE, "web")["spec"]["http"]
        back.append(len(route.get("mirrors", ())) == 2 and route["mirrors"][:1] == audit)

    view = await play(sim, each)
    assert view.state.phase is Phase.SUCCEEDED
    assert any(back)
    assert sim.memory.get(VIRTUAL_SERVICE, "web")["spec"] == newer


@pytest.mark.parametrize("image", [GOOD, BAD])
async def test_aborted_at_every_turn_all_go_home(image: str) -> None:
    seen = set()
    for turn in range(1, 60):
        sim = mirrored(image)
        sim.orders = {turn: "abort"}
        view = await sim.run(sim.engine())
        seen.add(view.state.phase)
        assert sim.at_rest(promoted=view.state.phase is Phase.SUCCEEDED) == [], turn
    assert Phase.ABORTED in seen
