"""What the failure of one gate does, and how long one may tell nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.decide.engine import decide
from rollout.decide.gates import failure, waiting
from rollout.decide.reason import Reason
from rollout.decide.seen import Order, Sample
from rollout.plan.program import FORMAT, PLAIN, CountGate, Program, QueryGate, Release
from rollout.plan.run import GateState, Look, Phase, State
from rollout.plan.stored import dump
from rollout.plan.strategy import Facts
from strategies.canary import Canary
from tests.kit.builders import SUCCESS, holding, run, steered
from tests.unit.test_canary_strategy import plan

DEPTH = QueryGate("depth", "max(depth)", every=5.0, failures=1, over=5, max=10.0)
LATE = 1000.0


def failed(*verdicts: str, at: float = 112.0) -> GateState:
    """What a gate remembers after these looks."""
    return GateState(looks=tuple(Look(at + i, word, 0.5, "bad") for i, word in enumerate(verdicts)))  # type: ignore[arg-type]  # words by name


def turn(state: State, *gates: Any, now: float = 114.0, **samples: Sample) -> State:
    """The state after one turn."""
    return decide(run(10.0, 50.0, gates=gates), state, steered(10.0, samples=samples), now).state


def states(**gates: GateState) -> State:
    """In the hold of the first weight, no look due."""
    return holding(gates={name: replace(gate, next_look=LATE) for name, gate in gates.items()})


@pytest.mark.parametrize(
    ("does", "phase"),
    [
        (None, Phase.ROLLING_BACK),
        ("rollback", Phase.ROLLING_BACK),
        ("hold", Phase.HELD),
        ("promote", Phase.PROGRESSING),
    ],
)
def test_a_gate_says_what_its_failure_does(does: Any, phase: Phase) -> None:
    after = turn(states(depth=failed("fail")), replace(DEPTH, on_failure=does))
    assert after.phase is phase


def test_a_gate_that_rolls_back_counts_more_than_one_that_holds() -> None:
    hold = replace(SUCCESS, on_failure="hold")
    found = failure([hold, DEPTH], {"success": failed("fail", "fail"), "depth": failed("fail")})
    assert found is not None
    assert (found.gate, found.does) == ("depth", None)


def test_a_gate_rolls_back_although_its_step_holds() -> None:
    spec = run(10.0, 50.0, gates=(replace(DEPTH, on_failure="rollback"), SUCCESS))  # type: ignore[arg-type]  # any gates
    step = replace(spec.program.steps[0], on_failure="hold")
    spec = replace(spec, program=replace(spec.program, steps=(step, *spec.program.steps[1:])))
    after = decide(spec, states(depth=failed("fail"), success=failed("fail", "fail")), steered(10.0), 114.0).state
    assert after.phase is Phase.ROLLING_BACK


def test_a_failure_that_promotes_is_told_once_and_the_step_passes() -> None:
    gate = replace(DEPTH, on_failure="promote")
    state = holding(gates={"depth": GateState(next_look=112.0)})
    state = turn(state, gate, depth=Sample("value", "q", 50.0))
    assert [(note.reason, note.warning) for note in state.notes] == [(Reason.GATE_FAILED, True)]
    assert "onFailure is promote" in state.notes[0].message
    later = turn(state, gate, now=121.0, depth=Sample("value", "q", 60.0))
    assert [note.reason for note in later.notes] == [Reason.GATE_FAILED, Reason.STEP_PASSED]
    assert later.step == 1


def test_one_bad_look_of_a_gate_that_promotes_is_waited_for() -> None:
    gate = replace(DEPTH, on_failure="promote", failures=2)
    assert waiting([gate], {"depth": failed("fail")}, 100.0) is not None
    assert waiting([gate], {"depth": failed("fail", "fail")}, 100.0) is None


def test_while_one_gate_holds_the_run_another_takes_it_back() -> None:
    hold = replace(DEPTH, on_failure="hold")
    held = turn(states(depth=failed("fail"), success=failed("pass")), hold, SUCCESS)
    assert (held.phase, held.reason) == (Phase.HELD, Reason.GATE_FAILED)
    gates = {**held.gates, "success": replace(failed("pass", "fail"), next_look=115.0)}
    bad = Sample("value", "q", pods={"web-canary-1": (100.0, 90.0)})
    decision = decide(run(10.0, gates=(hold, SUCCESS)), replace(held, gates=gates), steered(10.0), 114.0)  # type: ignore[arg-type]  # any gates
    assert decision.wake == pytest.approx(1.0), "the next look is not slept through"
    after = turn(replace(held, gates=gates), hold, SUCCESS, now=116.0, success=bad)
    assert (after.phase, after.reason) == (Phase.ROLLING_BACK, Reason.GATE_FAILED)


def test_a_run_that_a_step_holds_is_not_taken_back_by_its_gates() -> None:
    spec = run(10.0, 50.0)
    step = replace(spec.program.steps[0], on_failure="hold")
    spec = replace(spec, program=replace(spec.program, steps=(step, *spec.program.steps[1:])))
    held = decide(spec, states(success=failed("fail", "fail")), steered(10.0), 114.0).state
    assert held.phase is Phase.HELD
    assert decide(spec, held, steered(10.0), 130.0).state.phase is Phase.HELD


def test_a_person_lets_a_run_go_on_that_a_gate_holds() -> None:
    hold = replace(DEPTH, on_failure="hold")
    held = turn(states(depth=failed("fail")), hold)
    order = Order("1", "promote", "ana", "it may be deep")
    spec = run(10.0, 50.0, gates=(hold,))  # type: ignore[arg-type]  # any gate
    state = decide(spec, held, steered(10.0, orders=(order,)), 116.0).state
    assert state.phase is Phase.PROGRESSING
    assert decide(spec, state, steered(10.0), 121.0).state.step == 1


@pytest.mark.parametrize("verdict", ["inconclusive", "unknown"])
def test_a_limit_that_tells_nothing_for_too_long_does_what_the_plan_says(verdict: str) -> None:
    looks = {"success": failed("pass", at=10.0)}
    looks["success"] = replace(looks["success"], looks=(*looks["success"].looks, *failed(verdict, at=200.0).looks))
    for word, fails, waits in (("pass", False, False), ("fail", True, True), (None, False, True)):
        gate = replace(SUCCESS, on_inconclusive=word, max_hold=60.0 if word else None)  # type: ignore[arg-type]  # words by name
        assert (failure([gate], looks, overdue=60.0) is not None) is fails
        assert (waiting([gate], looks, 100.0, overdue=60.0) is not None) is waits
        assert failure([gate], looks, overdue=59.0) is None
        assert waiting([gate], looks, 100.0, overdue=59.0) is not None


def test_one_look_without_an_answer_is_no_reason_however_late_it_comes() -> None:
    gate = replace(SUCCESS, on_inconclusive="fail", max_hold=60.0)
    looks = {"success": GateState(looks=(Look(500.0, "pass", 1.0), Look(505.0, "unknown", None, "timeout")))}
    assert failure([gate], looks, overdue=LATE) is None


def test_no_data_is_left_to_on_no_data() -> None:
    gate = replace(SUCCESS, on_inconclusive="fail", max_hold=60.0)
    assert failure([gate], {"success": failed("no-data")}, overdue=LATE) is None


def compiled(*gates: dict[str, Any], **spec: Any) -> Program:
    analysis = {"gates": list(gates), **spec.pop("analysis", {})}
    made = plan(steps=[{"weight": 10, "hold": "2m"}], analysis=analysis, **spec)
    return Canary().compile(made, Facts(run="web-1", stable_hash="abc"))


LIMIT = {"name": "success", "metric": "success", "min": "99%"}
OWN = {"name": "depth", "query": "max(depth)", "max": 10}


def test_what_a_plan_says_of_a_gate_is_compiled() -> None:
    said = {"onFailure": "hold", "onInconclusive": "pass", "maxHold": "10m"}
    for gate in (LIMIT, OWN):
        (one,) = compiled(gate | said).steps[0].gates
        assert isinstance(one, CountGate | QueryGate)
        assert (one.on_failure, one.on_inconclusive, one.max_hold) == ("hold", "pass", 600.0)


def test_a_program_without_such_words_is_stored_as_ever() -> None:
    stored = dump(compiled(LIMIT, OWN))
    assert stored["format"] == PLAIN
    assert not {"onFailure", "onInconclusive", "maxHold"} & {key for gate in stored["gates"] for key in gate}
    assert compiled(LIMIT | {"onFailure": "promote"}).format == FORMAT


def test_a_roll_that_goes_on_by_itself_is_watched_by_the_gates_that_take_it_back() -> None:
    gates = (LIMIT, OWN | {"onFailure": "hold"})
    (release,) = [
        it for it in compiled(*gates, promotion={"mode": "native"}).steps if Release("native") in it.instructions
    ]
    assert [gate.name for gate in release.gates] == ["success"]
    held = {"analysis": {"onFailure": "hold"}, "promotion": {"mode": "native"}}
    (release,) = [
        it
        for it in compiled(LIMIT | {"onFailure": "rollback"}, OWN, **held).steps
        if Release("native") in it.instructions
    ]
    assert [gate.name for gate in release.gates] == ["success"]


def test_a_gate_that_promotes_takes_nothing_from_the_others_budget() -> None:
    both = compiled({"name": "a", "type": "compare"}, {"name": "b", "type": "slo", "objective": "99%"})
    alone = compiled(
        {"name": "a", "type": "compare"}, {"name": "b", "type": "slo", "objective": "99%", "onFailure": "promote"}
    )
    assert [getattr(it, "alpha", 0) for it in both.steps[0].gates] == [0.01, 0.01]
    assert alone.steps[0].gates[0].alpha == 0.02  # type: ignore[union-attr]  # it is the comparison
