"""Whole rollouts in the simulated cluster, without faults."""

from __future__ import annotations

import pytest

from rollout.plan.run import Phase
from tests.kit.sim import BAD, CRASHING, GOOD, Sim


@pytest.mark.parametrize("own_routes", [False, True])
@pytest.mark.parametrize("hold_policy", [False, True])
@pytest.mark.parametrize(
    ("image", "outcome"), [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK), (CRASHING, Phase.ROLLED_BACK)]
)
async def test_a_whole_rollout(own_routes: bool, hold_policy: bool, image: str, outcome: Phase) -> None:
    sim = Sim(own_routes=own_routes, hold_policy=hold_policy, image=image)
    view = await sim.run(sim.engine())
    assert view.state.phase is outcome
    assert sim.at_rest(promoted=outcome is Phase.SUCCEEDED) == []
