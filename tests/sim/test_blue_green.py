"""Blue/green in the simulated shop: switched in one write, and the way back open for as long as it is promised."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.view import RunView
from rollout.plan.kinds import DEPLOYMENT, VIRTUAL_SERVICE
from rollout.plan.run import Phase
from tests.kit.scenes import at_weight, once, play, web
from tests.kit.shapes import blue_green
from tests.kit.sim import BAD, CRASHING, GOOD, Sim

TURNS = 60
"""More than the run takes."""


def weights(sim: Sim) -> list[int]:
    """The candidate's weights, in the order in which they were written, each once."""
    seen: list[int] = []

    def watch(change: object, *_: object) -> None:
        for ref, obj in sim.memory.objects:
            if ref.kind == VIRTUAL_SERVICE:
                found = [d.get("weight", 100) for d in obj["spec"]["http"][0]["route"]]
                part = found[1] if len(found) > 1 else 0
                if not seen or seen[-1] != part:
                    seen.append(part)

    sim.memory.objects.watchers.append(watch)
    return seen


@pytest.mark.parametrize(("image", "end"), [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)])
async def test_all_requests_move_in_one_write(image: str, end: Phase) -> None:
    sim = blue_green(image)
    seen = weights(sim)
    view = await play(sim)
    assert view.state.phase is end
    assert seen[:2] == [0, 100]
    assert set(seen) == {0, 100}
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_a_version_that_crashes_is_never_switched_to() -> None:
    sim = blue_green(CRASHING)
    seen = weights(sim)
    view = await play(sim)
    assert view.state.phase is Phase.ROLLED_BACK
    assert 100 not in seen
    assert sim.at_rest(promoted=False) == []


async def test_while_it_is_tried_the_new_version_is_whole_and_gets_nothing() -> None:
    sim = blue_green(GOOD)
    seen: list[tuple[int, float]] = []

    def look(view: RunView) -> None:
        if view.state.step == 0 and view.state.held_since is not None:
            candidate = sim.memory.get(DEPLOYMENT, "web-canary")
            seen.append((candidate["status"]["readyReplicas"], view.state.weight))

    await play(sim, look)
    assert set(seen) == {(3, 0.0)}


async def test_stable_is_whole_until_its_time_is_over_and_takes_everything_back_at_once() -> None:
    sim = blue_green(GOOD)
    stable = set(sim.pods(canary=False))
    turn_bad = once(at_weight(100), lambda: sim.memory.behaviour(GOOD, Behaviour(error_rate=0.5)))
    view = await play(sim, turn_bad)
    assert view.state.phase is Phase.ROLLED_BACK
    assert set(sim.pods(canary=False)) == stable
    assert web(sim)["spec"]["paused"]
    assert sim.at_rest(promoted=False) == []


@pytest.mark.parametrize("verb", ["abort", "full"])
async def test_ordered_at_every_turn(verb: str) -> None:
    """Home from everywhere before the commit point; or forward from everywhere."""
    ends = {Phase.SUCCEEDED} if verb == "full" else {Phase.ABORTED, Phase.SUCCEEDED}
    seen = set()
    for turn in range(1, TURNS):
        sim = blue_green(GOOD)
        sim.orders = {turn: verb}
        view = await sim.run(sim.engine())
        seen.add(view.state.phase)
        assert view.state.phase in ends, (turn, view.state.message)
        assert sim.at_rest(promoted=view.state.phase is Phase.SUCCEEDED) == [], turn
    assert seen == ends
