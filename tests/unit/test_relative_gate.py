"""Limits that are factors of what stable has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.cli import demo
from rollout.decide.gates import failure, look, show
from rollout.decide.matrix import decode, encode
from rollout.decide.seen import Sample
from rollout.observe import questions
from rollout.plan.program import FORMAT, Program, QueryGate, Release
from rollout.plan.run import GateState, Look
from rollout.plan.stored import PROGRAM, dump
from rollout.plan.strategy import Facts
from rollout.ports.metrics import ScalarAsk
from strategies.canary import Canary
from tests.kit.shell import GOOD, Shell
from tests.unit.test_canary_strategy import plan

GATE = QueryGate("p99", "p99(c)", 5.0, 2, 5, max=1.5, unit="s", stable_query="p99(s)")


def answer(ours: Sample | float | None, stable: Sample | float | None) -> Sample:
    """What the metrics say of both versions."""
    first, second = (it if isinstance(it, Sample) else Sample("value", "q", it) for it in (ours, stable))
    return replace(first, peer=second)


def seen(ours: Sample | float | None, stable: Sample | float | None, weight: float = 10.0, **gate: Any) -> Look:
    """The look at it."""
    made = look(replace(GATE, **gate), GateState(), answer(ours, stable), 5.0, judged=True, weight=weight)
    return made.looks[-1]


@pytest.mark.parametrize(
    ("ours", "stable", "verdict"),
    [(0.6, 0.5, "pass"), (0.75, 0.5, "pass"), (0.8, 0.5, "fail"), (0.0, 0.5, "pass"), (0.0, 0.0, "pass")],
)
def test_the_limit_moves_with_stable(ours: float, stable: float, verdict: str) -> None:
    assert seen(ours, stable).verdict == verdict


def test_a_failure_tells_both_values_and_the_factor() -> None:
    found = seen(0.8, 0.5)
    assert found.text == "1.6 × stable, limit ≤ 1.5 × stable (0.8 s, stable 0.5 s)"
    assert found.value == pytest.approx(1.6)
    assert show(GATE, 1.6) == "1.6 × stable"
    states = {"p99": GateState(looks=(found, found))}
    bad = failure([GATE], states)
    assert bad is not None
    assert "0.8 s, stable 0.5 s" in bad.message


@pytest.mark.parametrize("stable", [0.0, -1.0])
def test_of_nothing_no_factor_tells_anything(stable: float) -> None:
    assert seen(0.8, stable).verdict == "inconclusive"


def test_without_stables_answer_nothing_is_judged() -> None:
    assert seen(0.8, Sample("unknown", "q", detail="timeout")) == Look(5.0, "unknown", None, "stable: timeout")
    assert seen(0.8, Sample("no-data", "q")).verdict == "no-data"
    assert seen(0.8, None).verdict == "no-data"
    assert seen(Sample("unknown", "q", detail="timeout"), 0.5).verdict == "unknown"
    assert seen(0.8, Sample("no-data", "q"), on_no_data="fail").verdict == "fail"


def test_where_all_requests_are_on_the_candidate_there_is_nothing_to_compare_with() -> None:
    assert seen(9.0, Sample("no-data", "q"), 100.0).verdict == "pass"
    assert seen(Sample("no-data", "q"), Sample("no-data", "q"), 100.0).verdict == "pass"


def test_a_plan_says_what_its_limits_are_factors_of(shell: Shell) -> None:
    gates = [{"name": "mean", "query": SLOW, "max": 1.5, "relativeTo": "stable"}]
    file = shell.file(analysis={**demo.PLAN["spec"]["analysis"], "gates": gates})
    assert "mean ≤ 1.5 × stable" in shell.run("plan", file).stdout
    (gate, *_) = shell.json("plan", file)["steps"][0]["gates"]
    assert gate["relativeTo"] == "stable"


def test_both_answers_are_kept_for_a_replay() -> None:
    both = answer(0.8, 0.5)
    assert decode(encode(both)).peer == Sample("value", "", 0.5)


P99 = "histogram_quantile(0.99, sum by (le) (rate(d_bucket{w='${candidate}',n='${workload}'}[${window}])))"


def compiled(**spec: Any) -> Program:
    gates = [{"name": "p99", "query": P99, "max": "150%", "relativeTo": "stable"}]
    made = plan(steps=[{"weight": 10, "hold": "2m"}], analysis={"gates": gates}, **spec)
    return Canary().compile(made, Facts(run="web-1", stable_hash="abc"))


def test_the_same_query_is_asked_of_both_versions() -> None:
    program = compiled()
    (gate,) = program.steps[0].gates
    assert isinstance(gate, QueryGate)
    assert (gate.max, program.format) == (1.5, FORMAT)
    asks = questions.of(gate, program, "shop", GateState(), 0.0, 0.0)
    texts = [it.query for it in asks if isinstance(it, ScalarAsk)]
    assert ["w='web-canary',n='web'" in texts[0], "w='web',n='web'" in texts[1], len(texts)] == [True, True, 2]
    assert PROGRAM.validate_python(dump(program)) == program


@pytest.mark.parametrize("mode", ["shift", "native"])
def test_nothing_is_compared_where_no_router_divides_the_requests(mode: str) -> None:
    promotion = {"mode": mode} | ({"bake": "2m"} if mode == "shift" else {})
    steps = compiled(promotion=promotion).steps
    assert [it.gates for it in steps[1:]] == [()] * len(steps[1:])
    assert any(Release(mode) in it.instructions for it in steps)  # type: ignore[arg-type]  # modes by name


SLOW = """
sum(rate(istio_request_duration_milliseconds_sum{destination_workload="${candidate}"}[30s]))
/ sum(rate(istio_request_duration_milliseconds_count{destination_workload="${candidate}"}[30s]))
"""


@pytest.mark.parametrize(("most", "code"), [(1.3, 3), (2.5, 0)])
def test_a_slower_version_is_taken_back_where_the_factor_is_passed(shell: Shell, most: float, code: int) -> None:
    shell.simulation.behaviour("shop/web:1.0", Behaviour(slow_rate=0.5, slow_seconds=0.4))
    shell.simulation.behaviour(GOOD, Behaviour(slow_rate=0.9, slow_seconds=0.4))
    gates = [{"name": "mean", "query": SLOW, "max": most, "relativeTo": "stable", "failures": 1}]
    file = shell.file(analysis={**demo.PLAN["spec"]["analysis"], "gates": gates})
    done = shell.run("start", file, "--image", f"app={GOOD}")
    assert done.exit_code == code, done.output
    assert ("× stable" in shell.run("why", "web").stdout) is bool(code)
    assert shell.at_rest()
