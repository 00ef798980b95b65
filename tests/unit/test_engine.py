"""The engine turn by turn: what is seen decides what is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.decide.action import ReleaseHold, Retire, Size, Steer, Sweep, Unroute
from rollout.decide.engine import decide
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, ReplicaSetView, Route, Sample, Trouble
from rollout.plan.finding import Finding, Level
from rollout.plan.run import GateState, Look, Phase, State
from tests.kit.builders import (
    CONCLUDE,
    FULL,
    NEW,
    RELEASE,
    RUN,
    STABLE,
    candidate,
    counts,
    holding,
    journal,
    progressing,
    run,
    seen,
    steered,
    workload,
)


def test_a_run_begins_when_it_could_be_taken_back() -> None:
    turn = decide(RUN, State(), seen(), 100.0)
    assert turn.state.phase is Phase.PROGRESSING
    assert turn.state.floor == 3
    assert not turn.actions


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (seen(workload=workload(held=False, paused=False, settled=False)), Reason.NOT_HELD),
        (seen(workload=workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 2),))), Reason.STABLE_NOT_READY),
        (seen(findings=(Finding("RO301", Level.ERROR, "hidden"),)), Reason.PREFLIGHT_FAILED),
    ],
)
def test_a_run_does_not_begin_while_it_could_not_be_taken_back(world: object, reason: Reason) -> None:
    turn = decide(RUN, State(), world, 100.0)  # type: ignore[arg-type]  # Seen
    assert (turn.state.phase, turn.state.reason) == (Phase.HOLDING, reason)
    assert not turn.actions


def test_a_start_that_stays_blocked_ends_at_its_deadline() -> None:
    blocked = decide(RUN, State(), seen(findings=(Finding("RO301", Level.ERROR, "hidden"),)), 100.0).state
    turn = decide(RUN, blocked, seen(findings=(Finding("RO301", Level.ERROR, "hidden"),)), 100.0 + 3601)
    assert (turn.state.phase, turn.state.outcome) == (Phase.ROLLING_BACK, Phase.ABORTED)


def test_the_route_is_pinned_before_the_candidate_exists() -> None:
    turn = decide(RUN, progressing(), seen(), 101.0)
    assert turn.actions == (Steer(0.0),)


def test_no_route_names_the_subsets_before_every_proxy_knows_them() -> None:
    """A proxy that learns of a subset and of the route to it at the same moment answers 503 for a moment."""
    first = decide(RUN, progressing(), seen(), 101.0)
    known = seen(route=Route("home", leftovers=True))
    early = decide(RUN, first.state, known, 102.0)
    assert (early.actions, early.wake) == ((), 1.0)
    assert decide(RUN, early.state, known, 103.0).actions == (Steer(0.0),)


def test_the_first_pin_is_read_back_at_once_and_one_that_does_not_stay_is_no_fight() -> None:
    rule = decide(RUN, progressing(), seen(), 101.0)
    assert (rule.wake, rule.state.settled) == (1.0, 103.0)
    known = seen(route=Route("home", leftovers=True))
    first = decide(RUN, replace(rule.state, journal=journal("subsets")), known, 103.0)
    assert (first.actions, first.wake) == ((Steer(0.0),), 0.0)
    again = decide(RUN, replace(first.state, journal=journal("subsets", "route")), known, 103.1)
    assert (again.actions, again.wake) == ((Steer(0.0),), 1.0)


def test_the_candidate_is_sized_for_its_weight() -> None:
    state = progressing(routed=0.0)
    world = steered(0.0, candidate=None, workload=workload(desired=10))
    assert decide(run(25.0), state, world, 101.0).actions == (Size(3),)


def test_no_weight_before_the_candidate_is_ready_and_settled() -> None:
    state = progressing(routed=0.0)
    waiting = decide(RUN, state, steered(0.0, candidate=candidate(ready=0)), 101.0)
    assert not waiting.actions
    ready = decide(RUN, state, steered(0.0), 102.0)
    assert ready.state.prepared == 1
    assert not decide(RUN, ready.state, steered(0.0), 103.0).actions
    assert decide(RUN, ready.state, steered(0.0), 104.5).actions == (Steer(10.0),)


def test_a_broken_candidate_is_a_bad_version_at_once() -> None:
    trouble = Trouble("broken", "ImagePullBackOff", "container app: ImagePullBackOff")
    world = steered(0.0, candidate=candidate(ready=0, trouble=trouble))
    turn = decide(RUN, progressing(routed=0.0), world, 101.0)
    assert (turn.state.phase, turn.state.outcome) == (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
    assert turn.state.reason == Reason.CANDIDATE_BROKEN


def test_a_candidate_that_cannot_be_scheduled_is_nobodys_fault() -> None:
    trouble = Trouble("blocked", "Unschedulable", "0/1 nodes are available")
    world = steered(0.0, candidate=candidate(ready=0, trouble=trouble))
    turn = decide(RUN, progressing(routed=0.0), world, 101.0)
    assert (turn.state.phase, turn.state.reason) == (Phase.HOLDING, Reason.CANDIDATE_BLOCKED)
    late = decide(RUN, turn.state, world, 100.0 + 3601)
    assert late.state.phase is Phase.ROLLING_BACK


def test_no_weight_goes_up_while_stable_is_below_its_floor() -> None:
    state = progressing(step=1, weight=10.0, routed=10.0, prepared=2, settled=0.0)
    weak = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 2),))
    turn = decide(RUN, state, steered(10.0, candidate=candidate(2), workload=weak), 101.0)
    assert (turn.state.phase, turn.state.reason) == (Phase.HOLDING, Reason.STABLE_BELOW_FLOOR)
    assert turn.state.weight == 10.0


def test_an_autoscaler_that_shrinks_stable_lowers_the_floor() -> None:
    state = progressing(step=1, weight=10.0, routed=10.0, prepared=2, settled=0.0)
    small = workload(desired=2, replica_sets=(ReplicaSetView("h1", STABLE, 2, 2),))
    assert decide(RUN, state, steered(10.0, workload=small), 101.0).actions == (Steer(50.0),)


@pytest.mark.parametrize(
    ("weight", "seen_weight"),
    [(0.5, 0.5), (0.01, 0.01), (0.001, 0.01), (0.125, 0.12), (33.335, 33.34), (99.999, 99.99)],
)
def test_a_weight_is_in_place_when_the_router_cannot_come_nearer(weight: float, seen_weight: float) -> None:
    state = progressing(weight=weight, prepared=1, settled=0.0)
    turn = decide(run(weight), state, steered(seen_weight), 101.0)
    assert (turn.actions, turn.state.routed) == ((), weight)


@pytest.mark.parametrize(("weight", "seen_weight"), [(0.0, 0.01), (100.0, 99.99), (10.0, 10.01), (0.01, 0.0)])
def test_a_weight_that_is_off_by_the_least_is_not_in_place(weight: float, seen_weight: float) -> None:
    state = progressing(weight=weight, prepared=1, settled=0.0)
    assert decide(run(weight), state, steered(seen_weight), 101.0).actions == (Steer(weight),)


def test_a_step_passes_when_its_time_is_over_and_its_gates_pass() -> None:
    early = decide(RUN, holding(), steered(10.0), 115.0)
    assert early.state.step == 0
    state = replace(holding(), gates={"success": GateState(looks=(Look(119.0, "pass"),), next_look=124.0)})
    turn = decide(RUN, state, steered(10.0), 120.0)
    assert (turn.state.step, turn.state.phase) == (1, Phase.PROGRESSING)


def test_a_gate_that_fails_twice_rolls_back_in_the_same_turn() -> None:
    state = replace(holding(), gates={"success": GateState(looks=(Look(112.0, "fail", 0.9, "90 %"),))})
    turn = decide(RUN, state, steered(10.0, samples={"success": counts(100, 10)}), 115.0)
    assert (turn.state.phase, turn.state.reason) == (Phase.ROLLING_BACK, Reason.GATE_FAILED)
    assert turn.state.failed is not None
    assert "2 of the last 2 looks" in turn.state.failed.message


def test_an_outage_of_the_metrics_holds_and_goes_on() -> None:
    outage = {"success": Sample("unknown", "q", detail="connection refused")}
    held = decide(RUN, replace(holding(), gates={}), steered(10.0, samples=outage), 121.0)
    assert (held.state.phase, held.state.reason) == (Phase.HOLDING, Reason.METRICS_UNAVAILABLE)
    later = decide(RUN, held.state, steered(10.0, samples={"success": counts(100)}), 180.0)
    assert (later.state.phase, later.state.step) == (Phase.PROGRESSING, 1)


def test_a_foreign_change_is_healed_told_or_waited_for() -> None:
    drifted = steered(90.0)
    healed = decide(RUN, holding(), drifted, 111.0)
    assert healed.actions == (Steer(10.0),)
    assert healed.state.notes[-1].reason == Reason.DRIFT
    held = decide(run(10.0, 50.0, drift="hold"), holding(), drifted, 111.0)
    assert (held.state.phase, held.actions) == (Phase.HOLDING, ())
    told = decide(run(10.0, 50.0, drift="report"), holding(), drifted, 111.0)
    assert (told.state.phase, told.actions) == (Phase.PROGRESSING, ())


def fought(settle: float, rounds: int, every: float) -> State:
    """Somebody changes the route every so many seconds; each time it is put back, and seen in place a second later."""
    state, at = holding(), 111.0
    for _ in range(rounds):
        turn = decide(RUN, state, steered(90.0), at)
        state = decide(RUN, turn.state, steered(10.0), at + 1).state
        for second in range(2, int(every)):
            state = decide(RUN, state, steered(10.0), at + second).state
        at += every
    return state


def test_a_route_that_is_changed_before_it_has_settled_is_told_once_and_holds_after_five_times() -> None:
    state = fought(RUN.program.settings.settle, 5, 2.0)
    assert [note.reason for note in state.notes] == [Reason.DRIFT]
    held = decide(RUN, state, steered(90.0), 121.0)
    assert (held.state.phase, held.state.reason, held.actions) == (Phase.HOLDING, Reason.DRIFT, ())
    assert "somebody writes it again at least every 2 s" in held.state.message
    tried = decide(RUN, held.state, steered(90.0), 130.0)
    assert tried.actions == (Steer(10.0),), "every ten seconds it is tried again"
    there = decide(RUN, tried.state, steered(10.0), 131.0)
    settled = decide(RUN, there.state, steered(10.0), 131.0 + RUN.program.settings.settle)
    assert (settled.state.phase, settled.state.heals) == (Phase.PROGRESSING, ())


def test_a_route_that_settles_between_two_changes_is_put_back_again_and_again() -> None:
    state = fought(RUN.program.settings.settle, 12, RUN.program.settings.settle + 4)
    assert state.phase is Phase.PROGRESSING
    assert [note.reason for note in state.notes].count(Reason.DRIFT) == 1


def test_our_own_write_that_was_lost_is_written_again_whatever_the_drift_policy() -> None:
    state = progressing(weight=10.0, routed=0.0, prepared=1)
    turn = decide(run(10.0, 50.0, drift="hold"), state, steered(0.0), 101.0)
    assert turn.actions == (Steer(10.0),)


@pytest.mark.parametrize(
    ("changes", "reason", "outcome"),
    [
        ({"plan_exists": False}, Reason.PLAN_DELETED, Phase.ABORTED),
        ({"workload": None}, Reason.TARGET_GONE, Phase.ABORTED),
        ({"workload": workload(uid="other")}, Reason.BYPASSED, Phase.ABORTED),
        ({"workload": workload(digest="cccccccccc")}, Reason.NEW_REVISION, Phase.SUPERSEDED),
        ({"workload": workload(digest=STABLE)}, Reason.REVERTED, Phase.SUPERSEDED),
        ({"workload": workload(held=False, paused=False)}, Reason.BYPASSED, Phase.ABORTED),
        ({"workload": workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 0),))}, Reason.PIN_LOST, Phase.ABORTED),
    ],
)
def test_what_happens_outside_sends_the_run_home(changes: dict[str, object], reason: Reason, outcome: Phase) -> None:
    turn = decide(RUN, ended(holding(), **changes), steered(10.0, **changes), 111.5)
    assert (turn.state.phase, turn.state.reason, turn.state.outcome) == (Phase.ROLLING_BACK, reason, outcome)


def ended(state: State, **changes: object) -> State:
    """What ends a run must be seen thrice; here it was seen twice."""
    state = decide(RUN, state, steered(10.0, **changes), 110.5).state
    return decide(RUN, state, steered(10.0, **changes), 111.0).state


def test_one_read_of_the_past_does_not_end_a_run() -> None:
    state = ended(holding(), plan_exists=False)
    assert state.phase is Phase.PROGRESSING
    state = decide(RUN, state, steered(10.0), 112.0).state
    assert state.phase is Phase.PROGRESSING
    assert ended(state, plan_exists=False).phase is Phase.PROGRESSING


def test_a_pin_that_is_lost_on_the_way_home_gives_the_plain_service_the_traffic() -> None:
    broken = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 0),))
    state = replace(holding(), phase=Phase.ROLLING_BACK, outcome=Phase.ROLLED_BACK, reason=Reason.GATE_FAILED)
    state = decide(RUN, state, steered(10.0, workload=broken), 200.0).state
    assert (state.reason, state.outcome) == (Reason.PIN_LOST, Phase.ROLLED_BACK)
    assert decide(RUN, state, steered(10.0, workload=broken), 200.0).actions == (Unroute(),)


def test_going_home_plays_the_journal_backwards() -> None:
    state = decide(RUN, ended(holding(), plan_exists=False), steered(10.0, plan_exists=False), 200.0).state
    assert decide(RUN, state, steered(10.0), 200.0).actions == (Steer(0),)
    state = decide(RUN, state, steered(0.0), 201.0).state
    assert [e.kind for e in state.journal] == ["subsets", "route", "candidate"]
    assert not decide(RUN, state, steered(0.0), 202.0).actions, "drains first"
    assert decide(RUN, state, steered(0.0), 210.0).actions == (Retire(),)
    state = decide(RUN, state, steered(0.0, candidate=None), 211.0).state
    assert decide(RUN, state, steered(0.0, candidate=None), 211.0).actions == (Unroute(),)
    gone = seen(route=Route("home", leftovers=True))
    state = decide(RUN, state, gone, 212.0).state
    assert not decide(RUN, state, gone, 213.0).actions, "routes settle first"
    assert decide(RUN, state, gone, 215.0).actions == (Sweep(),)
    state = decide(RUN, state, seen(), 216.0).state
    assert state.journal == ()
    end = decide(RUN, state, seen(), 217.0)
    assert (end.state.phase, end.state.ended) == (Phase.ABORTED, 217.0)
    assert end.wake == float("inf")


def test_a_lost_pin_gives_the_plain_service_the_traffic_first() -> None:
    broken = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 0),))
    state = decide(RUN, holding(), steered(10.0, workload=broken), 200.0).state
    assert decide(RUN, state, steered(10.0, workload=broken), 200.0).actions == (Unroute(),)


def test_the_candidate_is_kept_while_stable_has_no_ready_pod() -> None:
    broken = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 0),))
    state = replace(holding(), phase=Phase.ROLLING_BACK, outcome=Phase.ABORTED, journal=journal("candidate"))
    turn = decide(RUN, state, seen(workload=broken, candidate=candidate()), 300.0)
    assert not turn.actions


def test_reverting_ends_with_the_deployment_unpaused() -> None:
    reverted = workload(digest=STABLE, held=False)
    state = replace(holding(), phase=Phase.ROLLING_BACK, outcome=Phase.SUPERSEDED, journal=())
    assert decide(RUN, state, seen(workload=reverted), 300.0).actions == (ReleaseHold(),)
    done = decide(RUN, state, seen(workload=replace(reverted, paused=False)), 301.0)
    assert done.state.phase is Phase.SUPERSEDED


def test_the_deployment_is_released_only_with_all_traffic_on_the_candidate() -> None:
    state = progressing(step=RELEASE, weight=100.0, routed=100.0, settled=0.0, journal=journal("route"))
    turn = decide(RUN, state, steered(100.0, candidate=candidate(3)), 200.0)
    assert (turn.state.phase, turn.state.committed) == (Phase.PROMOTING, True)
    assert not turn.actions, "remembered before it is done"
    assert decide(RUN, turn.state, steered(100.0, candidate=candidate(3)), 200.0).actions == (ReleaseHold(),)


def rolled() -> object:
    return workload(held=False, paused=False, replica_sets=(ReplicaSetView("h2", NEW, 3, 3, 2),))


def test_after_the_roll_the_routes_go_home_before_the_candidate_goes() -> None:
    state = replace(holding(), phase=Phase.PROMOTING, step=RELEASE, committed=True, weight=100.0, routed=100.0)
    done = decide(RUN, state, steered(100.0, workload=rolled()), 300.0).state
    assert done.step == CONCLUDE
    assert decide(RUN, done, steered(100.0, workload=rolled()), 300.0).actions == (Unroute(),)
    home = seen(route=Route("home", leftovers=True), workload=rolled(), candidate=candidate(3))
    done = decide(RUN, done, home, 301.0).state
    assert not decide(RUN, done, home, 302.0).actions
    assert decide(RUN, done, home, 310.0).actions == (Retire(),)


def test_a_roll_that_sticks_leaves_the_traffic_and_asks_for_a_person() -> None:
    state = replace(holding(), phase=Phase.PROMOTING, step=RELEASE, committed=True, weight=100.0, routed=100.0)
    stuck = workload(held=False, paused=False, stuck="ProgressDeadlineExceeded: 1 of 3 updated")
    turn = decide(RUN, state, steered(100.0, workload=stuck), 300.0)
    assert (turn.state.phase, turn.state.reason, turn.actions) == (Phase.HELD, Reason.ROLL_STUCK, ())
    later = decide(RUN, turn.state, steered(100.0, workload=rolled()), 400.0)
    assert (later.state.phase, later.state.step) == (Phase.PROMOTING, CONCLUDE)


def order(verb: str = "abort", **changes: object) -> Order:
    return replace(Order("o1", verb, "ana", "looks odd"), **changes)  # type: ignore[arg-type]  # any field


def test_an_abort_takes_the_traffic_home_and_is_consumed_once() -> None:
    turn = decide(RUN, holding(), steered(10.0, orders=(order(),)), 111.0)
    assert (turn.state.phase, turn.state.outcome) == (Phase.ROLLING_BACK, Phase.ABORTED)
    again = decide(RUN, turn.state, steered(10.0, orders=(order(),)), 112.0)
    assert again.actions == (Steer(0),)


def test_an_abort_after_the_commit_point_is_refused() -> None:
    state = replace(holding(), phase=Phase.PROMOTING, step=RELEASE, committed=True)
    turn = decide(RUN, state, steered(100.0, orders=(order(),)), 111.0)
    assert turn.state.phase is Phase.PROMOTING
    assert turn.state.notes[-1].reason == Reason.DECISION_REFUSED


@pytest.mark.parametrize("stale", [order(expires=100.0), order(step=5)])
def test_a_stale_order_is_refused(stale: Order) -> None:
    turn = decide(RUN, holding(), steered(10.0, orders=(stale,)), 111.0)
    assert turn.state.phase is Phase.PROGRESSING
    assert turn.state.decisions == ("o1",)


def test_promote_passes_the_step_and_full_goes_to_the_promotion() -> None:
    passed = decide(RUN, holding(), steered(10.0, orders=(order("promote"),)), 111.0).state
    assert decide(RUN, passed, steered(10.0), 111.0).state.step == 1
    full = decide(RUN, holding(), steered(10.0, orders=(order("promote", full=True),)), 111.0).state
    assert full.step == FULL


def test_a_step_may_stop_in_place_instead_of_going_back() -> None:
    steps = tuple(replace(s, on_failure="hold") for s in RUN.program.steps)
    held_run = replace(RUN, program=replace(RUN.program, steps=steps))
    turn = decide(held_run, holding(), steered(10.0, candidate=candidate(ready=0)), 111.0)
    assert (turn.state.phase, turn.actions) == (Phase.HELD, ())


def test_an_ended_run_does_nothing() -> None:
    state = State(Phase.SUCCEEDED)
    turn = decide(RUN, state, seen(), 111.0)
    assert (turn.state, turn.actions, turn.wake) == (state, (), float("inf"))


def test_a_candidate_that_still_has_requests_is_not_deleted_whatever_an_older_look_said() -> None:
    """A look that shows the past may strike its weight out; the next one shows what is."""
    state = State(phase=Phase.ROLLING_BACK, floor=3, since=100.0, started=100.0, outcome=Phase.ABORTED, drained=101.0)
    state = replace(state, journal=journal("subsets", "route", "candidate"))
    turn = decide(RUN, state, steered(10.0), 110.0)
    assert (turn.actions, turn.state.drained) == ((Steer(0),), 117.0)
    assert decide(RUN, turn.state, steered(0.0), 111.0).actions == ()
    assert decide(RUN, turn.state, steered(0.0), 117.5).actions == (Retire(),)
