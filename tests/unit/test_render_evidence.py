"""What people and machines are told of the evidence behind a gate."""

from __future__ import annotations

from dataclasses import replace

from rollout.cli.render import live, plan, run, why
from rollout.controller.view import RunView
from rollout.decide.gates import look
from rollout.decide.reason import Reason
from rollout.decide.seen import Sample
from rollout.plan.program import Gate
from rollout.plan.run import GateState, Note, Phase
from rollout.plan.sequential import CompareGate, SloGate, TrafficGate
from tests.kit.builders import progressing
from tests.kit.builders import run as a_run

COMPARE = CompareGate("success", "success", every=15.0, tolerance=0.01, planned=40, alpha=0.01)
SLO = SloGate("slo", "slow", every=15.0, allowed=0.05, planned=40, alpha=0.01, slower_than=0.5)
TRAFFIC = TrafficGate("traffic", every=15.0, tolerance=0.25, planned=40)


def judged(gate: Gate, bad: float, looks: int) -> GateState:
    """After some looks at 300 requests of the candidate, all bad ones from the first of two pods."""
    state = GateState()
    for number in range(looks + 1):
        stable = Sample("value", "q", pods={f"web-{i}": (450.0 * number, 1.0 * number) for i in range(3)})
        ours = {"web-canary-a": (75.0 * number, bad * number), "web-canary-b": (75.0 * number, 0.0)}
        sample = Sample("value", "the query", pods=ours, peer=stable)
        state = look(gate, state, sample, 15.0 * number, judged=True, weight=10.0)
    return state


def view(state: GateState, gate: Gate = COMPARE, *, failed: bool = False) -> RunView:
    spec = a_run(10.0, gates=(gate,))  # type: ignore[arg-type]  # of any type
    note = Note(30.0, Reason.GATE_FAILED, f"{gate.name}: {state.looks[-1].text}")
    now = progressing(gates={gate.name: state}, held_since=0.0)
    if failed:
        now = replace(now, phase=Phase.ROLLING_BACK, failed=note, notes=(note,))
    return RunView("shop", "web-1", "uid", spec, now, 60.0)


def test_why_tells_strength_bursts_and_which_pod_it_was() -> None:
    text = why.story(view(judged(COMPARE, 8, 2), failed=True)).plain
    assert "looks    success, limit ≤ 1 point worse; the evidence of all looks together decides" in text
    assert "against it (limit 100:1), " in text
    assert "for it (limit 20:1)" in text
    assert "bursts   factor 1.0" in text
    assert "all bad requests come from one of 2 pods" in text
    assert "web-canary-a" in text


def test_a_status_says_how_long_it_takes_to_decide() -> None:
    text = run.status(view(judged(COMPARE, 0, 1))).plain
    assert "success: inconclusive, candidate 0.00 % failed (0 of 150), stable 0.22 % (3 of 1350); about " in text
    assert "limit ≤ 1 point worse" in text


def test_machines_get_the_numbers() -> None:
    (gate,) = run.as_json(view(judged(COMPARE, 8, 2)))["gates"]
    assert (gate["type"], gate["tolerance"], gate["verdict"]) == ("compare", 0.01, "fail")
    evidence = gate["evidence"]
    assert evidence["candidate"] == {"requests": 300.0, "bad": 16.0}
    assert evidence["logAgainst"] > evidence["logLimit"]
    assert evidence["pods"]["web-canary-b"] == {"requests": 150.0, "bad": 0.0}


def test_limits_are_words() -> None:
    assert [plan.limit(gate) for gate in (COMPARE, SLO, TRAFFIC)] == [
        "≤ 1 point worse",
        "≤ 5 % slower than 500ms",
        "as the weight ± 25 %",
    ]


def test_the_live_view_has_a_line_for_each() -> None:
    for gate in (COMPARE, SLO, TRAFFIC):
        text = live.screen(view(judged(gate, 0, 3), gate), "").plain
        assert plan.limit(gate) in text
