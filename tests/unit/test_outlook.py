"""What would change a verdict, and when: a sentence for every kind of gate and every verdict that it can have."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from rollout.cli.render import run, why
from rollout.decide.outlook import outlook
from rollout.plan.limits import ConditionGate, CountGate, Gate, QueryGate, ReadyGate, Scalar
from rollout.plan.run import GateState, Look, Phase
from rollout.plan.sequential import CompareGate, SloGate, TrafficGate
from tests.unit.test_render_evidence import COMPARE, LIMIT, SLO, TRAFFIC, judged, view

QUERY = QueryGate("query", "up", every=15.0, failures=3, over=5, min=1.0)
READY = ReadyGate("ready", (), 600.0, 15.0)
CONDITION = ConditionGate("both", "up > 0.0", {"up": Scalar("up")}, 15.0, 3, 5)
GATES: tuple[Gate, ...] = (COMPARE, SLO, TRAFFIC, LIMIT, QUERY, CONDITION, READY)
VERDICTS = ("pass", "fail", "inconclusive", "no-data", "unknown")


def test_these_are_all_kinds() -> None:
    union = get_args(Gate)[0]
    assert {type(gate) for gate in GATES} == set(get_args(union))


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.kind)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_of_each_kind_says_what_would_change_it_and_when(gate: Gate, verdict: str) -> None:
    state = GateState((Look(30.0, verdict, None, "a text"),), next_look=45.0)  # type: ignore[arg-type]  # one of them
    text = outlook(gate, state, 33.0)
    assert text.endswith("; next look in 12 s")
    assert len(text) > len("; next look in 12 s") + 15
    assert "None" not in text
    assert "nan" not in text
    silent = outlook(replace(gate, observe_only=True), state, 33.0)
    assert silent == "it only observes: the run goes on either way; next look in 12 s"


def said(gate: Gate, state: GateState) -> str:
    return outlook(gate, replace(state, next_look=0.0), 60.0).removesuffix("; next look now")


def test_before_the_first_look_nothing_is_foretold() -> None:
    assert outlook(LIMIT, GateState(next_look=200.0), 0.0) == "nothing has been judged yet; next look in 3 min"


def test_evidence_says_how_far_it_is_from_ending_the_run() -> None:
    passed, failed = judged(COMPARE, 0, 8), judged(COMPARE, 8, 2)
    assert passed.looks[-1].verdict == "pass"
    assert said(COMPARE, passed).startswith("evidence of 100:1 against it ends the run, it is 0.")
    assert said(COMPARE, failed) == "that ends the run: evidence needs no second opinion"
    assert said(SLO, judged(SLO, 0, 8)).startswith("evidence of 100:1 against it ends the run, it is 0.")


@pytest.mark.parametrize("gate", [COMPARE, SLO], ids=lambda gate: gate.kind)
@pytest.mark.parametrize(
    ("choice", "then"),
    [("hold", "the run waits for a person"), ("pass", "it passes"), ("fail", "it ends the run")],
)
def test_undecided_evidence_says_how_much_is_missing_how_long_that_takes_and_what_comes_then(
    gate: CompareGate | SloGate, choice: str, then: str
) -> None:
    state = judged(gate, 4, 1) if isinstance(gate, SloGate) else judged(gate, 0, 1)
    assert state.looks[-1].verdict == "inconclusive"
    text = said(replace(gate, on_inconclusive=choice), state)  # type: ignore[arg-type]  # one of them
    assert text.startswith("about ")
    assert " more requests to the candidate (about " in text
    assert text.endswith(f"; undecided 30 min after the step's time, {then}")


def test_a_gate_that_only_stops_the_run_or_lets_it_go_on_says_so() -> None:
    failing = GateState((Look(30.0, "fail", 0.0, "0"),))
    assert said(replace(QUERY, on_failure="hold"), failing).startswith("2 more failed looks stop the run")
    assert said(replace(COMPARE, on_failure="hold"), failing).startswith("that stops the run")
    assert "has failed for good" in said(replace(QUERY, on_failure="promote"), failing)
    unsure = GateState((Look(30.0, "inconclusive", None, "0, stable 0"),))
    factor = replace(QUERY, stable_query="up", max_hold=60.0, on_inconclusive="fail", on_failure="hold")
    assert said(factor, unsure).endswith("undecided 60 s after the step's time, it stops the run")


def test_a_step_that_lacks_requests_says_how_many_and_how_long() -> None:
    state = replace(judged(COMPARE, 0, 1), requests=20.0)
    assert said(COMPARE, state).startswith(
        "30 more requests to the candidate in this step (about 3 s), before it passes;"
    )


def limits(*verdicts: str) -> GateState:
    return GateState(tuple(Look(15.0 * n, word, 0.5, "text") for n, word in enumerate(verdicts)), total=8.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gate", "verdicts", "text"),
    [
        (LIMIT, ("pass", "pass"), "2 failed of 5 looks end the run"),
        (LIMIT, ("fail", "pass"), "2 failed of 5 looks end the run, 1 did"),
        (
            LIMIT,
            ("pass", "fail"),
            "one more failed look ends the run, in 15 s at the earliest; it goes on when they pass",
        ),
        (QUERY, ("fail",), "2 more failed looks end the run, in 30 s at the earliest; it goes on when they pass"),
        (LIMIT, ("fail", "fail"), "that ends the run"),
        (LIMIT, ("pass", "inconclusive"), "12 more requests to the candidate decide it"),
    ],
)
def test_limits_count_failed_looks(gate: CountGate | QueryGate, verdicts: tuple[str, ...], text: str) -> None:
    assert said(gate, limits(*verdicts)) == text


def test_why_of_a_run_on_its_way_says_it_and_of_one_that_waits_for_nothing_does_not() -> None:
    seen = view(judged(COMPARE, 0, 1))
    text = " ".join(why.story(seen).plain.split())
    assert "success: inconclusive, candidate 0.00 % failed (0 of 150), stable 0.22 % (3 of 1350), limit" in text
    assert "decide 1 point; undecided 30 min after the step's time, the run waits for a person; next look" in text
    (gate,) = why.why_json(seen)["gates"]
    assert gate["outlook"] == run.as_json(seen)["gates"][0]["outlook"] != ""
    paused = replace(seen, state=replace(seen.state, phase=Phase.PAUSED))
    assert "next look" not in why.story(paused).plain
    assert why.why_json(paused)["gates"][0]["outlook"] == ""
    assert "next look" not in why.story(view(judged(COMPARE, 8, 2), failed=True)).plain


def test_a_split_that_is_askew_never_ends_the_run() -> None:
    for verdict in ("pass", "fail"):
        assert "never end" in said(TRAFFIC, limits(verdict))
    assert isinstance(TRAFFIC, TrafficGate)
