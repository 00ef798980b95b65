"""The examples, driven in the simulated shop to the ending that their README tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.query import fill
from rollout.plan.run import Phase
from tests.kit.scenes import once, play, reasons
from tests.kit.sim import BAD, GOOD, Sim

EXAMPLES = Path(__file__).parents[2] / "examples"
ENDS = [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)]


def example(story: str, image: str = GOOD) -> Sim:
    """The example's plan in the simulated shop."""
    return Sim(plan=read(story, "canary"), image=image)


def read(story: str, name: str) -> Any:
    return yaml.safe_load((EXAMPLES / story / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("story", ["first-canary", "linear"])
@pytest.mark.parametrize(("image", "end"), ENDS)
async def test_a_good_version_is_promoted_and_a_bad_one_goes_back(story: str, image: str, end: Phase) -> None:
    sim = example(story, image)
    view = await play(sim)
    assert view.state.phase is end
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


@pytest.mark.parametrize(
    ("verb", "end"), [("promote", Phase.SUCCEEDED), ("abort", Phase.ABORTED), ("", Phase.ROLLED_BACK)]
)
async def test_a_person_decides(verb: str, end: Phase) -> None:
    """Or nobody does, and it goes back when the time is over (not the eight hours: they are long to simulate)."""
    sim = example("approval")
    sim.plan["spec"]["steps"][1]["approve"]["within"] = "20m"

    def answer(view: RunView) -> None:
        if verb and view.state.phase is Phase.AWAITING_APPROVAL:
            sim.order(view, verb)

    view = await play(sim, answer)
    assert view.state.phase is end
    assert (Reason.APPROVAL_EXPIRED in reasons(view)) is (verb == "")
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_a_version_that_turns_bad_while_a_person_is_waited_for_goes_back() -> None:
    sim = example("approval")
    turn_bad = once(
        lambda view: view.state.phase is Phase.AWAITING_APPROVAL,
        lambda: sim.memory.behaviour(GOOD, Behaviour(error_rate=0.3)),
    )
    view = await play(sim, turn_bad)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.GATE_FAILED)


def shop_that_sells(conversion: float | None) -> Sim:
    """Own metrics: the template stored, and what Prometheus says of the candidate's carts."""
    sim = example("own-metrics")
    template: Json = read("own-metrics", "template")
    sim.memory.apply(template)
    filled = {"namespace": "shop", "candidate": "web-canary", "window": "5m", "channel": "web"}
    sim.memory.metrics.set_scalar(fill(template["spec"]["query"], filled), conversion)
    sim.memory.metrics.set_scalar('max(shop_queue_depth{namespace="shop"})', 9000.0)
    return sim


@pytest.mark.parametrize(("conversion", "end"), [(0.05, Phase.SUCCEEDED), (0.01, Phase.ROLLED_BACK)])
async def test_a_number_of_the_shops_own_decides_and_one_that_only_looks_does_not(
    conversion: float, end: Phase
) -> None:
    sim = shop_that_sells(conversion)
    view = await play(sim)
    assert view.state.phase is end, view.state.message
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_a_shop_where_nobody_has_filled_a_cart_waits_and_says_so() -> None:
    sim = shop_that_sells(None)
    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": GOOD}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None, until=lambda it: it.state.phase is Phase.HOLDING)
    assert view.state.reason == Reason.NO_DATA
    assert "conversion" in view.state.message
