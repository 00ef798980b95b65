"""Pausing and resuming: what stands still, what does not, and what cannot be paused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.decide.action import Steer
from rollout.decide.reason import Reason
from rollout.decide.seen import Route
from rollout.decide.turn import hold_spent, spent
from rollout.plan.run import Pause, Phase, State
from tests.kit.builders import RUN, STABLE, candidate, counts, holding, run, seen, steered, workload
from tests.kit.orders import (
    DOWN,
    NEWER,
    approving,
    blocked,
    committed,
    give,
    held,
    native,
    paused,
    refusal,
    turns,
    waiting,
)


@pytest.mark.parametrize("state", [State(), holding(), waiting(), blocked()], ids=lambda s: s.phase)
def test_what_has_not_been_released_can_be_paused(state: State) -> None:
    after = give(state, "pause", spec=approving())
    assert (after.phase, after.reason, after.weight) == (Phase.PAUSED, Reason.PAUSED, state.weight)
    assert after.paused == Pause(115.0, state.phase, "paused by ana: looks odd")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (paused(), "paused already"),
        (held(), "held, and waits for a person already"),
        (committed(), "the Deployment has been released"),
        (committed(Phase.HELD), "rollout abort web takes it back"),
        (holding(phase=Phase.ROLLING_BACK, outcome=Phase.ROLLED_BACK), "the run goes home"),
    ],
    ids=lambda it: it.phase if isinstance(it, State) else "",
)
def test_a_pause_that_makes_no_sense_is_refused_with_a_sentence(state: State, why: str) -> None:
    after = give(state, "pause")
    assert after.phase is state.phase
    assert why in refusal(after)


def test_resuming_what_is_not_paused_is_refused_with_a_sentence() -> None:
    assert refusal(give(holding(), "resume")).endswith("the run is not paused, it is Progressing")


def test_a_paused_run_does_not_go_on_and_no_time_passes() -> None:
    good = steered(10.0, samples={"success": counts(100)})
    later = turns(RUN, paused(), good, 120.0, 5_000.0, 100_000.0)
    assert (later.state.phase, later.state.step, later.actions) == (Phase.PAUSED, 0, ())
    state = give(later.state, "resume", 100_115.0)
    assert state.phase is Phase.PROGRESSING
    assert (spent(state, 100_115.0), hold_spent(state, 100_115.0)) == (15.0, 5.0)
    assert turns(RUN, state, good, 100_119.0).state.step == 0, "five seconds of the hold are left"
    looked = replace(good, samples={"success": counts(300)})
    assert turns(RUN, state, looked, 100_120.0).state.step == 1


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 1e6)), max_size=5))
def test_time_that_passes_is_the_time_between_the_pauses(pauses: list[tuple[float, float]]) -> None:
    state, now, worked = holding(), 110.0, 0.0
    for number, (work, pause) in enumerate(pauses):
        now, worked = now + work, worked + work
        state = give(state, "pause", now, uid=f"p{number}")
        assert spent(state, now + pause) == pytest.approx(10.0 + worked, abs=1e-3)
        now += pause
        state = give(state, "resume", now, uid=f"r{number}")
    assert spent(state, now) == pytest.approx(10.0 + worked, abs=1e-3)
    assert hold_spent(state, now) == pytest.approx(worked, abs=1e-3)


def test_an_approvals_time_stops_while_paused_and_it_waits_for_a_person_again() -> None:
    spec = approving()
    state = give(waiting(), "pause", 130.0, spec)
    state = turns(spec, state, steered(10.0), 5_000.0).state
    state = give(state, "resume", 5_130.0, spec, uid="o2")
    assert state.phase is Phase.AWAITING_APPROVAL
    assert turns(spec, state, steered(10.0), 5_130.0 + 29.0).state.phase is Phase.AWAITING_APPROVAL
    expired = turns(spec, state, steered(10.0), 5_130.0 + 31.0).state
    assert (expired.phase, expired.reason) == (Phase.ROLLING_BACK, Reason.APPROVAL_EXPIRED)


def test_a_run_that_was_paused_before_it_began_has_its_whole_time_to_begin() -> None:
    state = give(State(), "pause", 50.0)
    assert turns(RUN, state, seen(), 60.0).actions == ()
    state = give(state, "resume", 10_000.0, world=seen(), uid="o2")
    begun = turns(RUN, state, seen(), 10_001.0).state
    assert (begun.phase, begun.floor, spent(begun, 10_002.0)) == (Phase.PROGRESSING, 3, 1.0)


def test_a_paused_run_looks_after_its_routes() -> None:
    assert turns(RUN, paused(), steered(90.0), 120.0).actions == (Steer(10.0),)
    waits = turns(run(10.0, 50.0, drift="hold"), paused(), steered(90.0), 120.0)
    assert (waits.state.phase, waits.actions) == (Phase.PAUSED, ())
    assert "rollout promote web puts it back" in waits.state.message
    assert turns(run(10.0, 50.0, drift="hold"), waits.state, steered(10.0), 121.0).state.message == "paused by ana"


def test_a_run_that_is_paused_before_its_first_route_touches_nothing() -> None:
    state = paused(weight=0.0, routed=None, held_since=None)
    assert turns(RUN, replace(state, journal=()), seen(), 120.0).actions == ()


def test_a_native_release_that_is_paused_does_not_steer_again() -> None:
    state = paused(step=2, held_since=None)
    assert turns(native(), state, seen(route=Route("home", leftovers=True)), 120.0).actions == ()


@pytest.mark.parametrize(("on_failure", "phase"), [("rollback", Phase.ROLLING_BACK), ("hold", Phase.HELD)])
def test_a_gate_that_fails_while_paused_does_what_the_step_says(on_failure: Any, phase: Phase) -> None:
    steps = tuple(replace(s, on_failure=on_failure) for s in RUN.program.steps)
    spec = replace(RUN, program=replace(RUN.program, steps=steps))
    state = turns(spec, paused(), steered(10.0, samples={"success": counts(100, 50)}), 120.0).state
    assert state.phase is Phase.PAUSED, "one failed look is not enough"
    state = turns(spec, state, steered(10.0, samples={"success": counts(200, 100)}), 125.0).state
    assert (state.phase, state.reason, state.paused) == (phase, Reason.GATE_FAILED, None)


@pytest.mark.parametrize("state", [paused(), waiting()], ids=lambda s: s.phase)
def test_a_candidate_that_dies_under_traffic_does_not_wait_for_a_person(state: State) -> None:
    world = steered(10.0, candidate=candidate(ready=0))
    after = turns(approving(), state, world, 120.0).state
    assert (after.phase, after.reason) == (Phase.ROLLING_BACK, Reason.CANDIDATE_GONE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"plan_exists": False}, Reason.PLAN_DELETED),
        ({"workload": workload(digest=NEWER)}, Reason.NEW_REVISION),
        ({"workload": workload(digest=STABLE)}, Reason.REVERTED),
        ({"workload": DOWN}, Reason.PIN_LOST),
    ],
)
def test_what_ends_a_run_from_outside_ends_a_paused_one(changes: dict[str, Any], reason: Reason) -> None:
    state = turns(RUN, paused(), steered(10.0, **changes), 120.0, 120.5, 121.0).state
    assert (state.phase, state.reason) == (Phase.ROLLING_BACK, reason)


@pytest.mark.parametrize("verb", ["promote", "skip", "retry"])
def test_nothing_goes_on_before_it_is_resumed(verb: str) -> None:
    after = give(paused(), verb)
    assert (after.phase, after.approved) == (Phase.PAUSED, False)
    assert "rollout resume web -n shop comes first" in refusal(after)
