"""Whole rollouts that are judged by evidence: a plan without gates, in a shop where some requests always fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.plan.run import Phase
from rollout.ports.metrics import Ask, PastAsk, Reading
from tests.kit.sim import BAD, GOOD, Sim, plan

STABLE = "shop/web:1.0"
USUAL = 0.005
ANALYSIS: dict[str, Any] = {"interval": "5s", "hold": "30s"}


def shop(
    image: str, seed: int = 0, *, usual: float = USUAL, burst: int = 1, worse: float = 0.05, slow: float = 0.0
) -> Sim:
    """A shop with a history, about to try an image."""
    sim = Sim(seed=seed, image=image, plan=plan(analysis=ANALYSIS))
    for sound in (STABLE, GOOD):
        sim.memory.behaviour(sound, Behaviour(error_rate=usual, error_burst=burst))
    sim.memory.behaviour(BAD, Behaviour(error_rate=usual + worse, error_burst=burst, slow_rate=slow))
    sim.memory.run(60)
    sim.memory.traffic.fresh_ledger()
    return sim


async def told(sim: Sim) -> RunView:
    view = await sim.run(sim.engine())
    assert sim.at_rest(promoted=view.state.phase is Phase.SUCCEEDED) == []
    return view


@pytest.mark.parametrize("seed", range(5))
async def test_a_worse_version_goes_home_within_a_minute(seed: int) -> None:
    view = await told(shop(BAD, seed))
    assert view.state.phase is Phase.ROLLED_BACK
    assert view.state.failed is not None
    assert view.state.failed.message.startswith("success: candidate ")
    assert "evidence " in view.state.failed.message
    routed = next(note.at for note in view.state.notes if note.reason == "WeightSet")
    assert view.state.failed.at - routed < 60


async def test_a_slower_version_goes_home_although_nobody_said_what_is_slow() -> None:
    view = await told(shop(BAD, worse=0.0, slow=0.2))
    assert view.state.failed is not None
    assert view.state.failed.message.startswith("latency: candidate ")


@pytest.mark.parametrize("seed", range(20))
async def test_a_sound_version_is_promoted_with_bursts_of_errors_in_both(seed: int) -> None:
    assert (await told(shop(GOOD, seed, burst=5))).state.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("seed", range(5))
async def test_what_hits_both_versions_rolls_nobody_back(seed: int) -> None:
    sim = shop(GOOD, seed)

    def incident(view: RunView) -> None:
        hit = 25 <= view.now - view.state.started < 55
        for image in (STABLE, GOOD):
            sim.memory.behaviour(image, Behaviour(error_rate=0.3 if hit else USUAL))

    view = await _driven(sim.engine(), sim, incident)
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


async def test_without_metrics_the_run_holds_and_goes_on_when_they_are_back() -> None:
    sim = shop(GOOD)
    held: list[str] = []

    def outage(view: RunView) -> None:
        sim.memory.metrics.fault = "outage" if 15 <= view.now - view.state.started < 120 else None
        if view.state.phase is Phase.HOLDING:
            held.append(view.state.reason)

    view = await _driven(sim.engine(), sim, outage)
    assert view.state.phase is Phase.SUCCEEDED
    assert "MetricsUnavailable" in held
    assert sim.at_rest(promoted=True) == []


async def _driven(engine: Foreground, sim: Sim, turned: Any) -> RunView:
    view = await engine.start(sim.plan, images={"app": sim.image}, by="ana")
    return await engine.drive("shop", view.name, turned)


async def test_the_past_of_stable_is_asked_for_once_by_each_gate() -> None:
    """At its first look; a run asks no range again."""
    sim = shop(GOOD, burst=5)
    asked: list[PastAsk] = []
    inner = sim.memory.metrics.ask

    async def ask(asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        asked.extend(one for one in asks if isinstance(one, PastAsk))
        return await inner(asks)

    sim.memory.metrics.ask = ask  # type: ignore[method-assign]  # an ear at the wall
    view = await told(sim)
    assert sorted(one.of.metric for one in asked) == ["slow", "success"]
    known = view.state.gates["success"].evidence
    assert known is not None
    assert known.blocks[0][0] * 300 <= view.state.started


@pytest.mark.parametrize("early", [True, False])
async def test_a_proved_version_need_not_wait_for_the_hold_to_be_over(early: bool) -> None:
    sim = shop(GOOD, usual=0.0)
    sim.plan["spec"]["analysis"] = {**ANALYSIS, "hold": "10m", "early": early}
    view = await told(sim)
    assert view.state.phase is Phase.SUCCEEDED
    holds = view.state.step_times[:2]
    assert (max(holds) < 400) is early
    assert (min(holds) >= 600) is not early
