from __future__ import annotations

import pytest

from rollout.decide.event import Event
from rollout.decide.phase import TRANSITIONS, advance, allows, diagram
from rollout.errors import IllegalTransition
from rollout.plan.run import ENDED, Phase


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("event", list(Event))
def test_every_pair_is_in_the_table_or_illegal(phase: Phase, event: Event) -> None:
    if event in TRANSITIONS[phase]:
        assert advance(phase, event) in Phase
        assert allows(phase, event)
    else:
        with pytest.raises(IllegalTransition):
            advance(phase, event)


def test_ends_have_no_way_out() -> None:
    assert all(not TRANSITIONS[phase] for phase in ENDED)


def test_every_phase_can_be_reached() -> None:
    reached = {Phase.PENDING, Phase.ABORTED, Phase.SUPERSEDED} | {
        p for row in TRANSITIONS.values() for p in row.values()
    }
    assert reached == set(Phase)


def test_every_phase_before_the_commit_point_can_be_aborted() -> None:
    running = set(Phase) - ENDED - {Phase.PROMOTING, Phase.ROLLING_BACK}
    assert all(allows(phase, Event.ABORTED) for phase in running)


@pytest.mark.parametrize("outcome", [Phase.ROLLED_BACK, Phase.ABORTED, Phase.SUPERSEDED])
def test_going_home_ends_in_the_outcome_that_was_chosen(outcome: Phase) -> None:
    assert advance(Phase.ROLLING_BACK, Event.HOME, outcome) is outcome


def test_a_promotion_that_cleans_up_succeeds() -> None:
    assert advance(Phase.PROMOTING, Event.HOME) is Phase.SUCCEEDED


def test_the_diagram_names_every_transition() -> None:
    text = diagram()
    for phase, row in TRANSITIONS.items():
        for event, after in row.items():
            assert any(f"{phase} --> {after}:" in line and event in line for line in text.splitlines())
