"""Conditions over several numbers: what can be written, what is asked, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.adapters.memory.behaviour import Behaviour
from rollout.cli import demo
from rollout.decide.gates import failure, look
from rollout.decide.matrix import decode, encode
from rollout.decide.seen import Sample
from rollout.errors import InvalidInput
from rollout.observe import questions
from rollout.plan import expression
from rollout.plan.limits import Scalar
from rollout.plan.program import FORMAT, ConditionGate, Program
from rollout.plan.run import GateState, Look
from rollout.plan.stored import PROGRAM, dump
from rollout.plan.strategy import Facts
from rollout.ports.metrics import Reading, ScalarAsk
from strategies.canary import Canary
from tests.kit.shell import BAD, GOOD, Shell
from tests.unit.test_canary_strategy import plan

GATE = ConditionGate(
    "healthy",
    "errors < 0.01 && p99 < 1.5 * before",
    {"errors": Scalar("e"), "p99": Scalar("p", "s"), "before": Scalar("b", "s")},
    every=5.0,
    failures=1,
    over=3,
)


@pytest.mark.parametrize(
    "text",
    [
        "errors < 0.01 && p99 < 0.5",
        "errors < 1 || !(p99 >= 2.5e3)",
        "a - b * 2.0 <= -c + 1.0",
        "a > 1 ? b < 2 : c == 3.0",
        "true",
        "a\n  < 1",
    ],
)
def test_numbers_are_compared_and_combined(text: str) -> None:
    assert expression.mistake(text) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a < 1 &&", "character 9"),
        ("a <", "it is no CEL"),
        ("", "it is no CEL"),
        ("a + 1.0", "not true or false"),
        ("a", "not true or false"),
        ("b < 1 || a > 2 ? a : true", "not true or false"),
        ("a * 2 < 1", "write whole numbers as 2.0"),
        ("a / b < 1", "'/' at character 3 is no part of a condition; write a quotient in the query"),
        ("a in b", "it uses in"),
        ("size(a) < 1", "it uses size"),
        ("[1, 2].all(x, x < a)", "'[' at character 1"),
        ("a == 'x'", "character 6"),
        ("(" * 21 + "a < 1" + ")" * 21, "more than 20 brackets"),
        ("a.b < 1", ""),
    ],
)
def test_what_is_no_condition_is_said_with_its_place(text: str, said: str) -> None:
    assert said in (found := expression.mistake(text))
    assert found


@given(st.text(max_size=60) | st.text("ab<>=!&|?:()0.+-* ", max_size=60))
def test_whatever_is_written_is_answered_in_words(text: str) -> None:
    if not expression.mistake(text):
        assert isinstance(expression.holds(text, dict.fromkeys(expression.names(text), 0.5)), bool)


def test_a_condition_that_cannot_be_told_says_so() -> None:
    with pytest.raises(InvalidInput):
        expression.holds("a < 1", {})


def seen(errors: float, p99: float, before: float, gate: ConditionGate = GATE) -> Look:
    sample = Sample("value", "q", numbers={"errors": errors, "p99": p99, "before": before})
    return look(gate, GateState(), sample, 5.0, judged=True).looks[-1]


def test_a_look_tells_every_number() -> None:
    assert seen(0.001, 0.4, 0.3).verdict == "pass"
    found = seen(0.001, 0.5, 0.3)
    assert found.verdict == "fail"
    assert found.text == "errors 0.001, p99 0.5 s, before 0.3 s; not so: errors < 0.01 && p99 < 1.5 * before"
    bad = failure([GATE], {"healthy": GateState(looks=(found,))})
    assert bad is not None
    assert bad.message.startswith("healthy was errors 0.001")


def test_a_condition_that_names_what_is_not_there_never_fails() -> None:
    assert seen(1, 1, 1, replace(GATE, condition="nothing < 1")).verdict == "no-data"


@pytest.mark.parametrize("status", ["unknown", "no-data", "stale", "many"])
def test_while_one_number_is_missing_nothing_is_judged(status: Any) -> None:
    readings = [Reading("value", "e", 9.0), Reading(status, "p", detail="gone"), Reading("value", "b", 1.0)]
    sample = questions.sample(GATE, readings)
    assert (sample.status, sample.detail) == (status, "p99: gone")
    verdict = look(GATE, GateState(), sample, 5.0, judged=True).looks[-1].verdict
    assert verdict == ("unknown" if status == "unknown" else "no-data")


def test_all_numbers_are_kept_for_a_replay() -> None:
    sample = questions.sample(GATE, [Reading("value", it, 2.0) for it in "epb"])
    assert decode(encode(sample)) == replace(sample, query="")
    assert decode('["value",0.5,"",{},[],[],null]') == Sample("value", "", 0.5), "as it was kept before"


def test_at_full_weight_a_number_of_stable_is_not_waited_for() -> None:
    gate = replace(GATE, metrics={**GATE.metrics, "before": Scalar("b", "s", of="stable")})
    silent = Sample("no-data", "q", detail="before: nothing")
    verdicts = [look(gate, GateState(), silent, 5.0, judged=True, weight=it).looks[-1].verdict for it in (50.0, 100.0)]
    assert verdicts == ["no-data", "pass"]
    alone = look(GATE, GateState(), silent, 5.0, judged=True, weight=100.0).looks[-1]
    assert alone.verdict == "no-data", "it asks about the candidate only"


def test_nothing_of_stable_is_asked_where_no_router_divides_the_requests() -> None:
    made = plan(steps=[{"weight": 10, "hold": "2m"}], analysis={"gates": [CONDITION]}, promotion={"bake": "2m"})
    assert Canary().compile(made, Facts(run="web-1", stable_hash="abc")).steps[1].gates == ()


ERRORS = 'sum(rate(r{w="${candidate}",c=~"5.."}[${window}])) / sum(rate(r{w="${candidate}"}[${window}]))'
METRICS = {"errors": {"query": ERRORS}, "before": {"query": ERRORS, "of": "stable"}}

CONDITION = {"name": "healthy", "type": "condition", "metrics": METRICS, "condition": "errors <= 0.01 + before"}


def compiled(condition: str = "errors <= 0.01 + before", **more: Any) -> Program:
    gates = [CONDITION | {"condition": condition} | more]
    made = plan(steps=[{"weight": 10, "hold": "2m"}], analysis={"gates": gates})
    return Canary().compile(made, Facts(run="web-1", stable_hash="abc"))


def test_each_number_is_asked_of_its_version() -> None:
    program = compiled(onFailure="hold")
    (gate,) = program.steps[0].gates
    assert isinstance(gate, ConditionGate)
    assert (gate.on_failure, program.format) == ("hold", FORMAT)
    asks = questions.of(gate, program, "shop", GateState(), 0.0, 0.0)
    assert ['w="web-canary"' in it.query for it in asks if isinstance(it, ScalarAsk)] == [True, False]
    assert PROGRAM.validate_python(dump(program)) == program


@pytest.mark.parametrize("condition", ["errors <", "errors < other"])
def test_what_lint_has_not_seen_is_refused_when_it_is_compiled(condition: str) -> None:
    with pytest.raises(InvalidInput, match="gate healthy"):
        compiled(condition)


LIVE = {
    "errors": {
        "query": 'sum(rate(istio_requests_total{destination_workload="${candidate}",response_code=~"5.."}[30s]))'
        " or vector(0)",
    },
    "requests": {"query": 'sum(rate(istio_requests_total{destination_workload="${candidate}"}[30s]))'},
}


@pytest.mark.parametrize(("image", "code"), [(GOOD, 0), (BAD, 3)])
def test_a_run_is_judged_by_a_condition(shell: Shell, image: str, code: int) -> None:
    shell.simulation.behaviour(BAD, Behaviour(error_rate=0.3))
    gates = [{"name": "healthy", "type": "condition", "metrics": LIVE, "condition": "errors < 0.05 * requests"}]
    file = shell.file(analysis={**demo.PLAN["spec"]["analysis"], "gates": gates})
    done = shell.run("start", file, "--image", f"app={image}")
    assert done.exit_code == code, done.output
    assert ("not so: errors < 0.05 * requests" in shell.run("why", "web").stdout) is bool(code)
    replayed = shell.run("replay", "web")
    assert replayed.exit_code == 0, replayed.output
