"""An adoption turn by turn: what the mesh driver sees decides what is done, undone, and where a failure leads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.decide.action import Adopt, Undo
from rollout.decide.engine import decide
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, Progress, Route, Sample, Seen, Trouble
from rollout.plan.program import (
    Adoption,
    Approve,
    Conclude,
    Enrol,
    Program,
    QueryGate,
    ReadyGate,
    SetMode,
    Shadow,
    Step,
    UnitName,
    Withdraw,
)
from rollout.plan.run import Entry, Phase, RunSpec, State, Verb

WEB, DB = UnitName("Deployment", "web"), UnitName("StatefulSet", "db")
VOLUME = QueryGate("volume", "sum(x)", every=5.0, failures=1, over=1, min=0.5, on_no_data="fail")
READY = ReadyGate("ready", (WEB, DB), window=3600.0, every=5.0)
STEPS = (
    Step("enrol-web", (Enrol(WEB),), on_failure="return"),
    Step("enrol-db", (Enrol(DB),), on_failure="return"),
    Step("shadow", (Shadow(),), gates=(READY,), hold=10.0, on_failure="return"),
    Step("strict-web", (SetMode("STRICT", WEB),), gates=(VOLUME,), hold=10.0, on_failure="return", back_to="shadow"),
    Step("unshadow", (Withdraw("shadow"),), on_failure="hold"),
    Step("conclude", (Conclude(),), on_failure="hold"),
)
RUN = RunSpec(
    "mesh",
    "plan-uid",
    1,
    1,
    Program("mesh-adoption", "", None, STEPS, adoption=Adoption("shop", "mesh-1")),
    plan_kind="MeshAdoptionPlan",
)
DONE, TODO = Progress(True), Progress(False, "0 of 3 pods have a ready proxy", write=True)
WAITS = Progress(False, "1 of 3 pods have a ready proxy")


def line(step: int, kind: str = "Deployment", name: str = "web") -> Entry:
    return Entry("mesh", "apps/v1", kind, "shop", name, f"{kind}/{name} in shop", undo={"ours": 1}, step=step)


LINES = (line(0), line(1, "StatefulSet", "db"), line(2, "AuthorizationPolicy", "shadow"))


def at(step: int, phase: Phase = Phase.PROGRESSING, **more: object) -> State:
    return replace(State(phase=phase, step=step, since=100.0, started=100.0, floor=1, journal=LINES[:step]), **more)  # type: ignore[arg-type]


def seen(*progress: Progress, undone: tuple[tuple[Entry, Progress], ...] = (), **more: object) -> Seen:
    back = {entry.key: it for entry, it in undone}
    return replace(Seen(True, Route("home"), progress=dict(enumerate(progress)), undone=back), **more)  # type: ignore[arg-type]


def order(verb: Verb, **more: object) -> Order:
    return replace(Order("u1", verb, "ana", "because"), **more)  # type: ignore[arg-type]


def test_a_run_begins_without_a_workload_of_its_own() -> None:
    turn = decide(RUN, State(), seen(TODO), 100.0)
    assert (turn.state.phase, turn.state.floor, turn.actions) == (Phase.PROGRESSING, 1, ())


def test_what_is_missing_is_written_and_then_waited_for() -> None:
    assert decide(RUN, at(0), seen(TODO), 101.0).actions == (Adopt(Enrol(WEB), 0),)
    turn = decide(RUN, at(0), seen(WAITS), 101.0)
    assert (turn.actions, turn.state.message) == ((), WAITS.text)


def test_what_is_there_leads_to_the_next_step() -> None:
    began = decide(RUN, at(0), seen(DONE), 101.0).state
    assert decide(RUN, began, seen(DONE), 101.0).state.step == 1


def test_what_was_not_looked_at_is_not_taken_for_done() -> None:
    turn = decide(RUN, at(0), seen(), 101.0)
    assert (turn.actions, turn.state.step) == ((), 0)


def test_somebody_else_has_to_act_is_a_hold_not_a_failure() -> None:
    blocked = Progress(False, trouble=Trouble("blocked", "Paused", "Deployment/web is paused: kubectl rollout resume"))
    turn = decide(RUN, at(0), seen(blocked), 101.0)
    assert (turn.state.phase, turn.state.reason) == (Phase.HOLDING, Reason.UNIT_BLOCKED)
    assert decide(RUN, turn.state, seen(DONE), 102.0).state.phase is Phase.HOLDING  # the hold begins
    assert "kubectl rollout resume" in turn.state.message


def test_only_the_step_that_fails_is_undone_and_the_run_is_held_there() -> None:
    broken = Progress(False, trouble=Trouble("broken", "CrashLoopBackOff", "istio-proxy of db-0: CrashLoopBackOff"))
    state = at(1, journal=LINES[:2])
    turn = decide(RUN, state, seen(broken), 101.0)
    assert (turn.state.phase, turn.state.back, turn.state.outcome) == (Phase.ROLLING_BACK, "enrol-db", None)
    turn = decide(RUN, turn.state, seen(undone=((LINES[1], TODO), (LINES[0], TODO))), 102.0)
    assert turn.actions == (Undo(LINES[1]),)
    turn = decide(RUN, turn.state, seen(undone=((LINES[1], DONE), (LINES[0], TODO))), 103.0)
    assert turn.state.journal == LINES[:1]
    turn = decide(RUN, turn.state, seen(undone=((LINES[0], TODO),)), 104.0)
    assert (turn.state.phase, turn.state.step, turn.state.journal) == (Phase.HELD, 1, LINES[:1])
    assert "CrashLoopBackOff" in turn.state.message
    assert "what was done before it stays" in turn.state.message


def test_a_failure_can_lead_further_back_than_its_own_step() -> None:
    state = at(3, held_since=100.0, journal=(*LINES, line(3, "PeerAuthentication", "web")))
    turn = decide(RUN, state, seen(DONE, samples={"volume": Sample("no-data", "sum(x)")}), 105.0)
    assert (turn.state.back, turn.state.reason) == ("shadow", Reason.GATE_FAILED)
    undone = tuple((entry, TODO) for entry in turn.state.journal)
    assert decide(RUN, turn.state, seen(undone=undone), 106.0).actions == (Undo(turn.state.journal[-1]),)
    left = replace(turn.state, journal=LINES[:2])
    held = decide(RUN, left, seen(undone=undone), 107.0).state
    assert (held.phase, held.step, held.journal) == (Phase.HELD, 2, LINES[:2])


def held(step: int = 1) -> State:
    return at(step, Phase.HELD, failed=None)


def test_a_retry_does_the_step_again() -> None:
    turn = decide(RUN, held(), seen(TODO, orders=(order("retry"),)), 110.0)
    assert (turn.state.phase, turn.state.step) == (Phase.PROGRESSING, 1)
    assert decide(RUN, turn.state, seen(TODO), 111.0).actions == (Adopt(Enrol(DB), 1),)


def test_a_skip_leaves_what_was_undone_out() -> None:
    turn = decide(RUN, held(), seen(TODO, orders=(order("skip"),)), 110.0)
    assert (turn.state.phase, turn.state.step) == (Phase.PROGRESSING, 2)


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.HELD, Phase.ROLLING_BACK])
def test_an_abort_goes_all_the_way_home(phase: Phase) -> None:
    back = "enrol-db" if phase is Phase.ROLLING_BACK else ""
    state = at(2, phase, back=back)
    turn = decide(RUN, state, seen(TODO, orders=(order("abort"),)), 110.0)
    assert (turn.state.phase, turn.state.outcome, turn.state.back) == (Phase.ROLLING_BACK, Phase.ABORTED, "")
    turn = decide(RUN, turn.state, seen(undone=((LINES[0], DONE), (LINES[1], DONE))), 111.0)
    turn = decide(RUN, turn.state, seen(undone=((LINES[0], DONE),)), 111.0)
    turn = decide(RUN, turn.state, seen(), 111.0)
    assert (turn.state.phase, turn.state.journal) == (Phase.ABORTED, ())
    assert "as it is before the run" not in turn.state.message
    assert "every object is as it was before the run" in turn.state.message


def test_a_deleted_plan_takes_everything_back() -> None:
    state = at(2)
    for now in (101.0, 101.5, 102.0):
        state = decide(RUN, state, seen(TODO, plan_exists=False), now).state
    assert (state.phase, state.outcome, state.reason) == (Phase.ROLLING_BACK, Phase.ABORTED, Reason.PLAN_DELETED)


def test_whom_strict_would_cut_off_is_said_at_once_and_held_not_failed() -> None:
    told = Sample("no-data", "who", detail="1 still blocks STRICT: Deployment/web: legacy sent 4 requests in plaintext")
    turn = decide(RUN, at(2, held_since=100.0), seen(DONE, samples={"ready": told}), 101.0)
    assert (turn.state.phase, turn.state.reason) == (Phase.HOLDING, Reason.BLOCKERS)
    assert "legacy" in turn.state.message
    late = decide(RUN, turn.state, seen(DONE, samples={"ready": replace(told, status="value", value=0.0)}), 120.0)
    assert (late.state.phase, late.state.step) == (Phase.PROGRESSING, 3)


def test_a_write_that_somebody_takes_back_is_repeated_twice_and_then_left_to_its_owner() -> None:
    contested, state = replace(TODO, contested=True), at(0)
    for now in (101.0, 106.0):
        turn = decide(RUN, state, seen(contested), now)
        assert turn.actions == (Adopt(Enrol(WEB), 0),)
        state = turn.state
    turn = decide(RUN, state, seen(contested), 111.0)
    assert (turn.actions, turn.state.phase, turn.state.reason) == ((), Phase.HOLDING, Reason.DRIFT)
    assert "rollout handoff mesh" in turn.state.message
    agreed = decide(RUN, turn.state, seen(DONE), 120.0).state
    assert decide(RUN, agreed, seen(DONE), 120.0).state.step == 1


def test_an_object_that_has_served_its_purpose_is_withdrawn_by_its_own_line() -> None:
    state = at(4, journal=(*LINES, line(3, "PeerAuthentication", "web")))
    turn = decide(RUN, state, seen(undone=((LINES[2], TODO),)), 101.0)
    assert turn.actions == (Undo(LINES[2]),)
    turn = decide(RUN, state, seen(undone=((LINES[2], DONE),)), 102.0)
    assert LINES[2] not in turn.state.journal
    assert len(turn.state.journal) == 3


def test_the_end_keeps_what_was_adopted() -> None:
    turn = decide(RUN, at(5, journal=LINES[:2]), seen(), 101.0)
    assert (turn.state.phase, turn.state.journal, turn.actions) == (Phase.SUCCEEDED, (), ())
    assert turn.state.reason == Reason.ADOPTED


def test_what_gates_saw_of_one_workload_is_no_evidence_about_the_next() -> None:
    state = decide(
        RUN, at(2, held_since=100.0), seen(DONE, samples={"ready": Sample("value", "who", 0.0)}), 111.0
    ).state
    assert (state.step, state.gates) == (3, {})


@pytest.mark.parametrize(("on_failure", "phase"), [("hold", Phase.HELD), ("rollback", Phase.ROLLING_BACK)])
def test_an_approval_that_nobody_gave_in_time_does_what_the_plan_says(on_failure: str, phase: Phase) -> None:
    asks = Step("approve", (Approve(60.0, "rollback"),), on_failure=on_failure)  # type: ignore[arg-type]  # both are
    waits = replace(RUN, program=replace(RUN.program, steps=(*STEPS[:2], asks)))
    state = decide(waits, at(2), seen(), 101.0).state
    assert state.phase is Phase.AWAITING_APPROVAL
    late = decide(waits, state, seen(), 162.0).state
    assert (late.phase, late.reason, late.journal) == (phase, Reason.APPROVAL_EXPIRED, LINES[:2])
