"""The count matrix: a run's verdicts come out again, bit for bit, from what it keeps, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.decide import matrix
from rollout.decide.gates import look
from rollout.decide.seen import Sample
from rollout.plan.program import CountGate
from rollout.plan.run import STATE, GateState, State, dump_state
from rollout.plan.sequential import CompareGate
from tests.kit.builders import run as a_run
from tests.kit.sim import BAD, GOOD, Sim, plan
from tests.sim.test_judged import shop, told

COMPARE = CompareGate("success", "success", every=15.0, tolerance=0.01, planned=40, alpha=0.01)
LIMIT = CountGate("limit", "success", every=15.0, min=0.99, failures=2, over=5)


@pytest.mark.parametrize(("image", "burst"), [(BAD, 1), (GOOD, 5)])
async def test_a_whole_run_is_replayed_from_its_stored_record(image: str, burst: int) -> None:
    view = await told(shop(image, 3, burst=burst))
    stored = STATE.validate_python(dump_state(view.state))
    looks, states = matrix.replay(view.spec.program, stored.matrix)
    assert list(matrix.differences(states, stored.gates)) == []
    assert {one.row.gate for one in looks} == {"success", "latency", "traffic"}
    failed = [one.look for one in looks if one.look is not None and one.look.verdict == "fail"]
    if view.state.failed is not None:
        assert view.state.failed.message == f"success: {failed[-1].text}"
    for name, gate in stored.gates.items():
        told_again = [one.look for one in looks if one.row.gate == name and one.look is not None]
        assert tuple(told_again[-len(gate.looks) :]) == gate.looks


async def test_fixed_limits_and_retries_are_replayed_too() -> None:
    sim = Sim(image=BAD, plan=plan(), orders={30: "pause", 40: "resume"})
    view = await sim.run(sim.engine())
    looks, states = matrix.replay(view.spec.program, view.state.matrix)
    assert looks
    assert list(matrix.differences(states, view.state.gates)) == []


async def test_another_count_would_come_to_something_else() -> None:
    """What proves that the comparison can fail."""
    view = await told(shop(GOOD))
    (segment,) = view.state.matrix
    place = max(i for i, row in enumerate(segment.rows) if row.gate == "success")
    sample = matrix.decode(segment.rows[place].sample)
    forged = replace(sample, pods={pod: (total + 1, bad) for pod, (total, bad) in sample.pods.items()})
    rows = list(segment.rows)
    rows[place] = replace(rows[place], sample=matrix.encode(forged))
    _, states = matrix.replay(view.spec.program, (replace(segment, rows=tuple(rows)),))
    assert "success: evidence" in list(matrix.differences(states, view.state.gates))


def test_an_answer_is_the_same_after_being_stored() -> None:
    peer = Sample("value", "", pods={"b": (1e15 + 1, 0.1)}, bursts=((1.0, 0.1, 0.2),), within={0.25: 3.5})
    whole = Sample("no-data", "", detail="no 'series'", peer=peer)
    assert matrix.decode(matrix.encode(whole)) == whole
    assert matrix.decode(matrix.encode(Sample("value", "a query", value=0.1))) == Sample("value", "", value=0.1)


def test_a_long_run_keeps_its_end_and_stays_small() -> None:
    """A day of looks at forty pods: the older half goes, and the rest is still replayed to the last bit."""
    program = a_run(10.0, gates=(COMPARE, LIMIT)).program  # type: ignore[arg-type]  # of any type
    state, number = State(weight=10.0), 0
    while len(state.matrix) < 2 or number % 50:
        number += 1
        pods = {f"web-7d9c5b6f4-{pod:05d}": (1000.0 * number + pod, 3.0 * number) for pod in range(20)}
        ours = {f"web-canary-6c5-{pod:05d}": (100.0 * number + pod, 1.0 * (number // 2)) for pod in range(20)}
        sample = Sample("value", "q", pods=ours, peer=Sample("value", "q", pods=pods))
        for gate in (COMPARE, LIMIT):
            kept = matrix.record(state, gate, sample, 15.0 * number, judged=True)
            before = state.gates.get(gate.name, GateState())
            after = look(gate, before, sample, 15.0 * number, judged=True, weight=10.0)
            state = replace(state, gates={**state.gates, gate.name: after}, matrix=kept)
    assert len(state.matrix) == 2
    looks, states = matrix.replay(program, state.matrix)
    assert list(matrix.differences(states, state.gates)) == []
    assert looks[-1].row.at == 15.0 * number
    assert len(str(dump_state(replace(State(), matrix=state.matrix)))) < 64 * 1024
