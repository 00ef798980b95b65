"""Trying a step again, and skipping one: what is forgotten, and what no order leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.decide.action import Size
from rollout.decide.reason import Reason
from rollout.decide.seen import Route
from rollout.decide.turn import spent
from rollout.plan.program import Conclude, Step
from rollout.plan.program import Route as RouteTo
from rollout.plan.run import Phase, RunSpec, State
from tests.kit.builders import RELEASE, RUN, counts, holding, progressing, seen, steered
from tests.kit.orders import approving, blocked, committed, give, held, refusal, turns, waiting

# -- retry


@pytest.mark.parametrize("state", [held(), blocked()], ids=lambda s: s.phase)
def test_a_retry_begins_the_step_again_and_forgets_what_its_gates_saw(state: State) -> None:
    after = give(state, "retry", 4_000.0)
    assert (after.phase, after.step, after.reason) == (Phase.PROGRESSING, 0, Reason.RETRIED)
    assert (spent(after, 4_000.0), after.held_since) == (0.0, None)
    assert all(not gate.looks for gate in after.gates.values())


def test_what_went_wrong_before_a_retry_is_no_evidence_of_the_new_attempt() -> None:
    state = give(held(), "retry", 4_000.0)
    state = turns(RUN, state, steered(10.0), 4_000.0).state
    bad_meanwhile = steered(10.0, samples={"success": counts(5_000, 2_000)})
    state = turns(RUN, state, bad_meanwhile, 4_001.0).state
    assert state.gates["success"].looks == ()
    good = steered(10.0, samples={"success": counts(5_100, 2_000)})
    state = turns(RUN, state, good, 4_006.0).state
    assert [x.verdict for x in state.gates["success"].looks] == ["pass"]
    late = steered(10.0, samples={"success": counts(5_200, 2_000)})
    assert turns(RUN, state, late, 4_011.0).state.step == 1


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (holding(), "the run is Progressing"),
        (waiting(), "waits for a person: rollout promote web"),
        (committed(Phase.HELD), "the Deployment has been released"),
        (holding(phase=Phase.ROLLING_BACK, outcome=Phase.ABORTED), "goes home already"),
    ],
)
def test_a_retry_of_what_did_not_stop_is_refused(state: State, why: str) -> None:
    assert why in refusal(give(state, "retry", spec=approving() if state.step == 1 else RUN))


# -- skip


@pytest.mark.parametrize("state", [holding(), blocked(), held()], ids=lambda s: s.phase)
def test_a_skipped_step_passes_without_its_hold_and_gates(state: State) -> None:
    after = give(state, "skip", 116.0)
    assert (after.phase, after.reason) == (Phase.PROGRESSING, Reason.SKIPPED)
    assert "step 1 (weight 10 %) was skipped by ana: looks odd" in after.notes[-1].message
    assert turns(RUN, after, steered(10.0), 116.5).state.step == 1


def test_what_a_skipped_step_does_in_the_cluster_is_done() -> None:
    state = give(progressing(routed=0.0), "skip", 101.0, world=steered(0.0, candidate=None))
    assert turns(RUN, state, steered(0.0, candidate=None), 102.0).actions == (Size(1),)


@pytest.mark.parametrize(
    ("state", "spec", "why"),
    [
        (waiting(), approving(), "consent, not evidence: rollout promote web"),
        (holding(step=RELEASE), RUN, "releases the Deployment"),
        (committed(), RUN, "has been released"),
        (State(), RUN, "has not begun"),
    ],
)
def test_what_is_not_about_evidence_is_not_skipped(state: State, spec: RunSpec, why: str) -> None:
    after = give(state, "skip", spec=spec)
    assert (after.phase, after.step, after.approved) == (state.phase, state.step, False)
    assert why in refusal(after)


def traffic_only() -> RunSpec:
    steps = (Step("half", (RouteTo(50),)), Step("conclude", (Conclude(keep_route=True),), on_failure="hold"))
    return replace(RUN, program=replace(RUN.program, workload="", steps=steps))


@pytest.mark.parametrize("verb", ["pause", "skip", "abort", "undo"])
def test_a_traffic_only_plan_that_concludes_is_past_all_that(verb: str) -> None:
    state = progressing(step=1, weight=100.0, routed=100.0)
    after = give(state, verb, spec=traffic_only(), world=seen(workload=None, route=Route("steered", 100.0)))
    assert after.phase is Phase.PROGRESSING
    assert "the traffic has been shifted for good" in refusal(after)
