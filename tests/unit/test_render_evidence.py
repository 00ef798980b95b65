"""What people and machines are told of the evidence behind a gate."""

from __future__ import annotations

from dataclasses import replace

from rollout.cli.render import live, plan, run, why
from rollout.cli.render.evidence import told
from rollout.controller.view import RunView
from rollout.decide.gates import look
from rollout.decide.reason import Reason
from rollout.decide.seen import Sample
from rollout.plan.program import CountGate, Gate
from rollout.plan.run import GateState, Note, Phase
from rollout.plan.sequential import CompareGate, SloGate, TrafficGate
from tests.kit.builders import progressing
from tests.kit.builders import run as a_run
from tests.kit.shell import BAD, Shell

COMPARE = CompareGate("success", "success", every=15.0, tolerance=0.01, planned=40, alpha=0.01)
SLO = SloGate("slo", "slow", every=15.0, allowed=0.05, planned=40, alpha=0.01, slower_than=0.5)
LIMIT = CountGate("limit", "success", every=15.0, min=0.99, min_requests=20, failures=2, over=5)
TRAFFIC = TrafficGate("traffic", every=15.0, tolerance=0.25, planned=40)


NODES = {"web-canary-a": "n1", "web-canary-b": "n2"}


def judged(gate: Gate, bad: float, looks: int) -> GateState:
    """After some looks at 300 requests of the candidate, all bad ones from the first of two pods."""
    state = GateState()
    for number in range(looks + 1):
        stable = Sample("value", "q", pods={f"web-{i}": (450.0 * number, 1.0 * number) for i in range(3)})
        ours = {"web-canary-a": (75.0 * number, bad * number), "web-canary-b": (75.0 * number, 0.0)}
        sample = Sample("value", "the query", pods=ours, peer=stable, nodes=NODES)
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
    assert "all bad requests come from one of 2 pods, on node n1" in text
    assert "web-canary-a  10.67 % (16 of 150)  on n1" in text


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
    assert evidence["pods"]["web-canary-a"] == {"requests": 150.0, "bad": 16.0, "node": "n1"}
    assert evidence["pods"]["web-canary-b"] == {"requests": 150.0, "bad": 0.0}


def pods_of(nodes: dict[str, str], *bad: int) -> str:
    """What is said of so many bad requests of pods a, b, c, ..."""
    cursor = {name: (100.0, float(worse)) for name, worse in zip("abcdefgh", bad, strict=False)}
    lines = told(LIMIT, GateState(cursor=cursor, nodes=nodes))
    return str(lines[0]).removeprefix("  by pod   ") if lines else ""


def test_a_node_is_named_where_it_may_be_the_reason() -> None:
    assert pods_of({"a": "n1"}, 0, 0) == ""
    assert pods_of({"b": "n1"}, 0, 7, 0) == "all bad requests come from one of 3 pods, on node n1"
    assert pods_of({}, 0, 7, 0) == "all bad requests come from one of 3 pods"
    assert pods_of({"a": "n1", "b": "n1"}, 2, 7, 0) == "bad requests come from 2 of 3 pods, all on node n1"
    assert pods_of({"a": "n1", "b": "n2"}, 2, 7, 0) == "bad requests come from 2 of 3 pods"
    assert pods_of({"a": "n1", "b": "n1", "c": "n1"}, 2, 7, 1) == "bad requests come from 3 of 3 pods"
    six = dict.fromkeys("abcde", "n1")
    assert pods_of(six, 1, 2, 3, 4, 5, 6, 0) == "bad requests come from 6 of 7 pods"


def test_only_the_worst_pods_are_remembered_with_their_nodes_and_stay_so_when_they_are_gone() -> None:
    counts = {f"p{n}": (100.0, float(n)) for n in range(8)}
    nodes = {pod: f"node-{pod}" for pod in counts}
    state = look(LIMIT, GateState(), Sample("value", "q", pods=counts, nodes=nodes), 0.0, judged=True)
    assert state.nodes == {f"p{n}": f"node-p{n}" for n in range(7, 2, -1)}
    assert look(LIMIT, state, Sample("value", "q", pods=counts), 1.0, judged=True).nodes == state.nodes
    assert look(LIMIT, state, Sample("unknown", "q"), 1.0, judged=True).nodes == state.nodes


def test_after_a_rollback_the_node_is_still_known(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    assert shell.at_rest()
    done = shell.run("why", "web")
    assert "bad requests come from " in done.stdout
    assert "on node-1" in done.stdout, done.output


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
