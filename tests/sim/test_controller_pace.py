"""What begins does not wait for ticks that nobody needs, and what passes by itself in a moment costs no write."""

from __future__ import annotations

import asyncio

import pytest

from rollout.controller import loop
from rollout.controller.plans import Plans
from rollout.plan.kinds import CANARY_PLAN, Ref
from rollout.plan.run import Phase
from tests.kit.controlled import shop
from tests.kit.sim import GOOD


async def test_a_run_is_created_and_begun_in_one_turn() -> None:
    async with shop() as world:
        world.release(GOOD)
        await world.until(lambda: bool(world.runs()))
        assert world.run_phase() == Phase.PROGRESSING


async def test_that_a_deployment_is_scaled_is_no_news() -> None:
    """Its controller sees it a moment later than we do; an autoscaler does it all the time."""
    async with shop() as world:
        sent = world.processes[0].link.sent
        before = len(sent)
        world.sim.memory.scale("web", 5)
        await world.passed(10)
        assert [str(it) for it in sent[before:]] == []


async def test_places_that_become_free_are_taken_before_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most, done = set[Ref](), [0], list[Ref]()

    async def turn(_: Plans, plan: Ref) -> float:
        under_way.add(plan)
        most[0] = max(most[0], len(under_way))
        await asyncio.sleep(0)
        under_way.discard(plan)
        done.append(plan)
        return 0.0

    async with shop() as world:
        monkeypatch.setattr(loop, "AT_ONCE", 2)
        monkeypatch.setattr(Plans, "turn", turn)
        controller = world.processes[0].controller
        keys = [Ref(CANARY_PLAN, "shop", f"plan-{number}") for number in range(5)]
        for key in keys:
            controller.due.push(key, controller.clock.monotonic())
        controller.tick()
        for _ in range(20):
            await asyncio.sleep(0)
        assert sorted(done) == keys  # each once: what is due again at once waits for its tick
        assert most == [2]
