"""A newer revision that arrives in mid-run, whatever the run waits for."""

from __future__ import annotations

import pytest

from rollout.decide.action import Steer
from rollout.decide.reason import Reason
from rollout.decide.seen import ReplicaSetView
from rollout.plan.run import Phase, State
from tests.kit.builders import NEW, RUN, STABLE, holding, steered, workload
from tests.kit.orders import NEWER, approving, blocked, committed, held, paused, turns, waiting


@pytest.mark.parametrize("state", [State(), holding(), waiting(), blocked(), held(), paused()], ids=lambda s: s.phase)
def test_a_newer_revision_takes_the_traffic_home_whatever_the_run_waits_for(state: State) -> None:
    world = steered(state.weight, workload=workload(digest=NEWER))
    after = turns(approving(), state, world, 120.0, 120.5, 121.0).state
    assert (after.phase, after.reason, after.outcome) == (Phase.ROLLING_BACK, Reason.NEW_REVISION, Phase.SUPERSEDED)
    if state.journal:
        assert turns(approving(), after, world, 122.0).actions == (Steer(0),)


def test_a_newer_revision_after_the_commit_point_leaves_the_traffic_where_it_is_served() -> None:
    newer = workload(
        digest=NEWER, replica_sets=(ReplicaSetView("h2", NEW, 2, 2, 5), ReplicaSetView("h1", STABLE, 2, 2, 4))
    )
    turn = turns(RUN, committed(), steered(100.0, workload=newer), 120.0)
    assert (turn.state.phase, turn.state.weight, turn.actions) == (Phase.HELD, 100.0, ())
    assert "take it out again" in turn.state.message
