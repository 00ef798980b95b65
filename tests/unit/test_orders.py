"""What people order, and what comes of it in each phase."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.decide.action import ReleaseHold, Retire, Size, Steer, TakeBack, Unroute
from rollout.decide.engine import decide
from rollout.decide.orders import MOST
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, ReplicaSetView, Route, Seen
from rollout.decide.turn import Decision, hold_spent, spent
from rollout.observe.orders import parse as parse_orders
from rollout.plan.base import Json
from rollout.plan.lint import rules
from rollout.plan.objects import DecisionSpec
from rollout.plan.parse import InvalidDocument, parse
from rollout.plan.program import Approve, Conclude, Release, Step
from rollout.plan.program import Route as RouteTo
from rollout.plan.run import GateState, Holding, Look, Pause, Phase, RunSpec, State
from tests.kit.builders import (
    FULL,
    NEW,
    RELEASE,
    RUN,
    STABLE,
    candidate,
    counts,
    holding,
    progressing,
    run,
    seen,
    steered,
    workload,
)

NEWER = "cccccccccc"
DOWN = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 0, 4),))


def approving() -> RunSpec:
    """The same with an approval after the first weight, one minute long."""
    first, *rest = RUN.program.steps
    approve = Step("approve", (Approve(60.0, "rollback"),), first.gates, deadline=3660.0)
    return replace(RUN, program=replace(RUN.program, steps=(first, approve, *rest)))


def native() -> RunSpec:
    """The same with a native release."""
    first, second, *_ = RUN.program.steps
    steps = (first, second, Step("release", (Release("native"),), first.gates), Step("conclude", (Conclude(),)))
    return replace(RUN, program=replace(RUN.program, steps=steps))


def waiting() -> State:
    """In front of the approval, since 100."""
    return holding(phase=Phase.AWAITING_APPROVAL, step=1)


def blocked() -> State:
    """Waits for metrics, since 105."""
    return holding(phase=Phase.HOLDING, holding=Holding(Reason.METRICS_UNAVAILABLE, "refused", 105.0))


def held() -> State:
    """Failed at 112, and the step says hold."""
    bad = {"success": GateState((Look(112.0, "fail"), Look(112.0, "fail")), 115.0, {"web-canary-1": (50.0, 9.0)})}
    return holding(phase=Phase.HELD, reason=Reason.GATE_FAILED, gates=bad)


def paused(before: Phase = Phase.PROGRESSING, **changes: Any) -> State:
    """Paused at 115."""
    state = holding(**{"phase": Phase.PAUSED, "reason": Reason.PAUSED, "message": "paused by ana", **changes})
    return replace(state, paused=Pause(115.0, before, "paused by ana"))


def committed(phase: Phase = Phase.PROMOTING) -> State:
    return holding(phase=phase, step=RELEASE, committed=True, weight=100.0, routed=100.0)


def order(verb: str, **changes: Any) -> Order:
    return replace(Order("o1", verb, "ana", "looks odd"), **changes)  # type: ignore[arg-type]  # a verb by its name


def give(
    state: State, verb: str, now: float = 115.0, spec: RunSpec = RUN, world: Seen | None = None, **of: Any
) -> State:
    """The state after an order."""
    world = world or steered(state.weight)
    return decide(spec, state, replace(world, orders=(order(verb, **of),)), now).state


def refusal(state: State) -> str:
    assert state.notes[-1].reason == Reason.DECISION_REFUSED, state.notes[-1]
    return state.notes[-1].message


def turns(spec: RunSpec, state: State, world: Seen, *moments: float) -> Decision:
    """Turns in which nothing in the world changes."""
    turn = Decision(state)
    for now in moments:
        turn = decide(spec, turn.state, world, now)
    return turn


# -- pause and resume


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


# -- a newer revision, whatever the run waits for


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


# -- undo


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


# -- promotion in full while stable is broken


def full(**changes: Any) -> State:
    """Promotion in full was ordered; the candidate grows, at 10 %."""
    return holding(step=FULL, full=True, held_since=None, **changes)


def test_a_run_begins_in_full_although_stable_is_not_whole() -> None:
    weak = seen(workload=workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 1),)))
    assert decide(RUN, State(), weak, 100.0).state.phase is Phase.HOLDING
    state = give(State(), "promote", 99.0, world=weak, full=True)
    begun = turns(RUN, state, weak, 100.0).state
    assert (begun.phase, begun.step) == (Phase.PROGRESSING, FULL)
    assert any(n.reason == Reason.STABLE_NOT_READY and "in full was ordered" in n.message for n in begun.notes)


def test_the_weight_goes_up_in_full_although_stable_is_below_its_floor() -> None:
    weak = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 1),))
    turn = turns(RUN, full(prepared=3), steered(10.0, workload=weak, candidate=candidate(3)), 120.0)
    assert turn.actions == (Steer(100),)
    assert any(n.reason == Reason.STABLE_BELOW_FLOOR for n in turn.state.notes)


def test_a_stable_without_pods_gives_everything_to_the_candidate_in_full() -> None:
    world = steered(10.0, workload=DOWN, candidate=candidate(1))
    turn = turns(RUN, full(), world, 120.0, 120.0)
    assert (turn.state.phase, turn.actions) == (Phase.PROGRESSING, (Steer(100.0),))
    grown = steered(100.0, workload=DOWN, candidate=candidate(1))
    assert turns(RUN, turn.state, grown, 121.0, 121.0).actions == (Size(3),)


def test_nothing_is_pinned_to_a_stable_without_pods_in_full() -> None:
    state = full(weight=0.0, routed=0.0)
    none_ready = candidate(3, ready=0)
    turn = turns(RUN, state, steered(0.0, workload=DOWN, candidate=none_ready), 120.0)
    assert (turn.state.phase, turn.actions) == (Phase.PROGRESSING, (Unroute(),))
    plain = seen(workload=DOWN, candidate=none_ready, route=Route("home", leftovers=True))
    assert turns(RUN, turn.state, plain, 121.0, 122.0).actions == ()
    ready = replace(plain, candidate=candidate(3))
    assert turns(RUN, turn.state, ready, 123.0, 123.0).actions == (Steer(100.0),)


@pytest.mark.parametrize("state", [holding(), paused(), held(), blocked()], ids=lambda s: s.phase)
def test_with_everything_on_the_candidate_a_broken_stable_changes_nothing(state: State) -> None:
    state = replace(state, step=FULL, weight=100.0, routed=100.0, prepared=3)
    world = steered(100.0, workload=DOWN, candidate=candidate(3))
    assert turns(RUN, state, world, 120.0).state.phase is not Phase.ROLLING_BACK
    lost = turns(RUN, state, replace(world, candidate=candidate(3, ready=0)), 120.0).state
    assert lost.reason == Reason.PIN_LOST, "nobody is left: the plain Service has whatever comes back first"


@pytest.mark.parametrize(
    "state", [holding(), waiting(), blocked(), held(), paused(), paused(full=True)], ids=lambda s: s.phase
)
def test_without_an_order_the_plain_service_takes_over_and_the_candidate_is_kept(state: State) -> None:
    world = steered(10.0, workload=DOWN)
    after = turns(approving(), state, world, 120.0).state
    assert (after.phase, after.reason) == (Phase.ROLLING_BACK, Reason.PIN_LOST)
    assert turns(approving(), after, world, 120.0).actions == (Unroute(),)
    home = seen(workload=DOWN, candidate=candidate(), route=Route("home", leftovers=True))
    kept = turns(approving(), after, home, 121.0, 200.0, 300.0)
    assert kept.actions == ()
    assert "rollout promote web --full goes forward instead" in kept.state.message
    healed = replace(home, workload=workload())
    assert turns(approving(), kept.state, healed, 301.0).actions == (Retire(),)


def test_a_run_that_went_home_because_stable_is_down_turns_round_in_full() -> None:
    state = turns(RUN, holding(), steered(10.0, workload=DOWN), 120.0).state
    home = seen(workload=DOWN, candidate=candidate(), route=Route("home", leftovers=True))
    state = turns(RUN, state, home, 121.0, 122.0).state
    state = give(state, "promote", 130.0, world=home, full=True)
    assert (state.phase, state.step, state.full, state.outcome) == (Phase.PROGRESSING, FULL, True, None)
    turn = turns(RUN, state, home, 131.0, 133.0)
    assert turn.actions == (Steer(100.0),)


@pytest.mark.parametrize(
    "changes",
    [
        {"workload": workload()},
        {"candidate": candidate(ready=0)},
        {"candidate": None},
        {"candidate": candidate(deleting=True)},
        {"plan_exists": False},
        {"workload": replace(DOWN, digest=NEWER)},
    ],
)
def test_a_run_that_goes_home_turns_round_for_nothing_less(changes: dict[str, Any]) -> None:
    state = holding(phase=Phase.ROLLING_BACK, outcome=Phase.ABORTED, reason=Reason.PIN_LOST)
    world = replace(seen(workload=DOWN, candidate=candidate()), **changes)
    after = give(state, "promote", 130.0, world=world, full=True)
    assert after.phase is Phase.ROLLING_BACK
    assert "goes home already" in refusal(after)


def test_an_approval_is_given_with_a_promotion_in_full() -> None:
    spec = replace(RUN, program=replace(RUN.program, steps=(*RUN.program.steps[:3], *approving().program.steps[1:2])))
    state = holding(step=3, full=True, weight=100.0, routed=100.0)
    assert turns(spec, state, steered(100.0), 120.0).state.phase is Phase.PROGRESSING


# -- whose order, which step, how often


def decision(name: str = "go", **spec: Any) -> Json:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "5"}
    return {"metadata": meta, "spec": {"plan": "web", "run": "web-1", "runUid": "u", "verb": "pause"} | spec}


def test_orders_of_other_plans_and_runs_are_left_out() -> None:
    mine = decision()
    others = [decision(plan="api"), decision(run="web-2"), decision(runUid="v"), decision()]
    del others[-1]["spec"]["plan"]
    assert [o.name for o in parse_orders([*others, mine], "web", "web-1", "u")] == ["go"]


def test_orders_of_one_second_come_in_the_order_they_were_stored() -> None:
    first, second = decision("z"), decision("a", verb="resume")
    second["metadata"]["resourceVersion"] = "10"
    found = parse_orders([second, first], "web", "web-1", "u")
    assert [(o.name, o.verb) for o in found] == [("z", "pause"), ("a", "resume")]


def test_a_decision_that_is_created_again_is_the_same_order() -> None:
    again = decision()
    again["metadata"] |= {"uid": "another", "creationTimestamp": "2026-01-01T01:00:00Z"}
    orders = parse_orders([decision(), again, decision(reason="more"), decision("other")], "web", "web-1", "u")
    assert len({o.uid for o in orders}) == 3
    assert len({o.content for o in orders}) == 3
    (first, second) = (o for o in orders if o.name == "go" and not o.reason)
    state = decide(RUN, holding(), steered(10.0, orders=(first,)), 115.0).state
    state = give(state, "resume", 116.0)
    assert state.phase is Phase.PROGRESSING
    state = decide(RUN, state, steered(10.0, orders=(second,)), 117.0).state
    assert state.phase is Phase.PROGRESSING
    assert "heard before; a new order has another name" in refusal(state)
    third = replace(second, uid="a third")
    quiet = decide(RUN, state, steered(10.0, orders=(third,)), 118.0).state
    assert (quiet.decisions, len(quiet.notes)) == (state.decisions, len(state.notes)), "said once"


def test_no_order_is_ever_forgotten_and_past_the_bound_only_an_abort_is_heard() -> None:
    state, count = holding(), 0
    while len(state.decisions) < MOST:
        count += 1
        state = give(state, "resume", uid=f"u{count}", content=f"c{count}")
    assert "u1" in state.decisions
    assert give(state, "pause", uid="last", content="last").phase is Phase.PROGRESSING
    assert give(state, "abort", uid="last", content="last").phase is Phase.ROLLING_BACK


@pytest.mark.parametrize("verb", ["promote", "skip", "retry"])
def test_an_order_to_go_on_without_a_step_is_for_the_step_at_which_it_was_given(verb: str) -> None:
    state = blocked()
    assert "was given before step 1 began" in refusal(give(state, verb, created=90.0))
    assert give(state, verb, created=99.0).phase is Phase.PROGRESSING, "clocks are told in whole seconds"
    assert give(state, verb, created=90.0, step=0).phase is Phase.PROGRESSING
    assert "was given for step 2" in refusal(give(state, verb, created=114.0, step=1))


def test_orders_that_do_not_let_it_go_on_are_for_the_run() -> None:
    assert give(holding(), "pause", created=90.0).phase is Phase.PAUSED
    assert give(holding(), "abort", created=90.0).phase is Phase.ROLLING_BACK
    assert give(holding(), "promote", created=90.0, full=True).step == FULL


@pytest.mark.parametrize("verb", ["promote", "abort", "pause", "resume", "retry", "skip", "undo"])
def test_an_expired_order_does_nothing(verb: str) -> None:
    for state in (holding(), paused(), held()):
        after = give(state, verb, expires=114.0)
        assert after.phase is state.phase
        assert refusal(after).endswith("it has expired")


STATES = (State(), holding(), waiting(), blocked(), held(), paused(), full(), committed(), committed(Phase.HELD))
WORLDS = (
    seen(),
    seen(workload=DOWN, candidate=candidate(), route=Route("home", leftovers=True)),
    *(steered(weight, workload=work) for weight in (0.0, 10.0, 100.0) for work in (workload(), DOWN)),
    steered(10.0, workload=workload(digest=NEWER)),
    steered(10.0, candidate=candidate(ready=0)),
    steered(10.0, workload=DOWN, candidate=candidate(ready=0)),
    steered(10.0, plan_exists=False),
    seen(workload=workload(digest=STABLE, held=False, paused=False)),
)
VERBS = ("", "promote", "full", "abort", "pause", "resume", "retry", "skip", "undo")


@given(
    st.sampled_from(STATES),
    st.sampled_from([RUN, approving(), native()]),
    st.lists(st.tuples(st.sampled_from(VERBS), st.sampled_from(WORLDS), st.floats(0.1, 200.0)), max_size=15),
)
def test_no_order_in_no_world_is_illegal_or_pins_requests_to_nobody(
    state: State, spec: RunSpec, story: list[tuple[str, Seen, float]]
) -> None:
    now = 115.0
    for number, (verb, world, seconds) in enumerate(story):
        now += seconds
        given_order = order("promote", full=True) if verb == "full" else order(verb)
        orders = (replace(given_order, uid=str(number)),) if verb else ()
        turn = decide(spec, state, replace(world, orders=orders), now)
        if world.workload is DOWN and not state.committed:
            assert not any(isinstance(action, Steer) and action.weight < 100 for action in turn.actions)
        if state.phase is turn.state.phase is Phase.PAUSED:
            assert (turn.state.step, turn.state.weight) == (state.step, state.weight)
        assert turn.state.committed or not state.committed
        assert len(turn.actions) <= 1
        state = turn.state


# -- what a decision may say


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"verb": "abort", "full": True}, "RO170"),
        ({"verb": "undo", "step": 1}, "RO171"),
        ({"verb": "promote", "toRevision": 3}, "RO172"),
        ({"verb": "undo", "toRevision": 0}, "RO114"),
        ({"verb": "dance"}, "RO114"),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(spec: dict[str, Any], code: str) -> None:
    lines = "".join(f"  {key}: {value}\n".replace("True", "true") for key, value in spec.items())
    text = "apiVersion: meshrollout.dev/v1alpha1\nkind: PlanDecision\nmetadata: {name: go, namespace: shop}\nspec:\n"
    with pytest.raises(InvalidDocument) as caught:
        parse(f"{text}  plan: web\n  run: web-1\n  runUid: u\n{lines}")
    assert [finding.code for finding in caught.value.findings] == [code]


def test_the_rules_of_decisions_are_listed() -> None:
    assert {rule.code for rule in DecisionSpec.rules} < {rule.code for rule in rules()}
