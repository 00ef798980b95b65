"""An undo in each phase: home, then stable's template, and nothing held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.decide.action import ReleaseHold, TakeBack
from rollout.decide.reason import Reason
from rollout.decide.seen import ReplicaSetView
from rollout.plan.run import Phase, State
from tests.kit.builders import NEW, RUN, STABLE, holding, seen, workload
from tests.kit.orders import NEWER, approving, blocked, committed, give, held, native, paused, refusal, turns, waiting


@pytest.mark.parametrize("state", [State(), holding(), waiting(), blocked(), held(), paused()], ids=lambda s: s.phase)
def test_an_undo_goes_home_first(state: State) -> None:
    after = give(state, "undo", spec=approving())
    assert (after.phase, after.outcome, after.reason) == (Phase.ROLLING_BACK, Phase.ABORTED, Reason.UNDO_ORDERED)
    assert "rollout handoff web -n shop" in after.message


def test_an_undo_ends_with_the_stable_template_and_nothing_held() -> None:
    state = replace(give(holding(), "undo"), journal=())
    assert turns(RUN, state, seen(), 130.0).actions == (TakeBack(),)
    back = workload(digest=STABLE, held=False)
    assert turns(RUN, state, seen(workload=back), 131.0).actions == (ReleaseHold(),)
    end = turns(RUN, state, seen(workload=replace(back, paused=False)), 132.0).state
    assert (end.phase, end.reason) == (Phase.ABORTED, Reason.UNDO_ORDERED)


def test_an_undo_leaves_an_owners_newer_revision_alone() -> None:
    state = replace(give(holding(), "undo"), journal=())
    turn = turns(RUN, state, seen(workload=workload(digest=NEWER)), 130.0)
    assert (turn.state.phase, turn.actions) == (Phase.ABORTED, ())


def test_an_undo_of_a_native_roll_does_not_hold_what_was_tried_again() -> None:
    spec = native()
    state = give(holding(step=2, phase=Phase.PROMOTING, committed=True), "undo", spec=spec, world=seen())
    assert (state.phase, state.undo) == (Phase.ROLLING_BACK, True)
    both = (ReplicaSetView("h2", NEW, 0, 0, 5), ReplicaSetView("h1", STABLE, 3, 3, 6))
    back = seen(workload=workload(digest=STABLE, held=False, paused=False, replica_sets=both))
    end = turns(spec, replace(state, journal=()), back, 130.0)
    assert (end.state.phase, end.actions) == (Phase.ABORTED, ())


@pytest.mark.parametrize("verb", ["abort", "undo"])
def test_what_cannot_be_taken_back_is_not(verb: str) -> None:
    after = give(committed(), verb)
    assert after.phase is Phase.PROMOTING
    assert "when it has ended: rollout undo web" in refusal(after)


def test_an_undo_in_mid_run_leads_to_stable_and_nowhere_else() -> None:
    assert "leads to revision 1 only" in refusal(give(holding(), "undo", to_revision=7))
    assert give(holding(), "undo", to_revision=1).reason == Reason.UNDO_ORDERED
