"""What a gate asks the metrics, and the answers as one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from rollout.decide import memory
from rollout.decide.evidence.burst import WINDOW, replay
from rollout.decide.gates import reaching
from rollout.decide.seen import Sample
from rollout.decide.sequential import begins, chooses
from rollout.plan.program import ConditionGate, CountGate, Gate, Program, QueryGate
from rollout.plan.run import GateState
from rollout.plan.sequential import CompareGate, Metric, SloGate, TrafficGate
from rollout.ports.metrics import Ask, CountAsk, PastAsk, Reading, ScalarAsk

STEP: Final = 15.0
"""Seconds between two values of the past, at least: 120 of each series in half an hour."""

Asked = CountGate | QueryGate | ConditionGate | CompareGate | SloGate | TrafficGate
"""Gates whose questions are for the metrics alone."""


def of(gate: Asked, program: Program, namespace: str, state: GateState, began: float, now: float) -> tuple[Ask, ...]:
    """The questions behind a gate: about the candidate, and then about stable where it is compared with.

    `began`: when the step did; `now`: when it is asked.
    """
    if isinstance(gate, QueryGate):
        queries = (reaching(gate, state, began, now), gate.stable_query)
        provider = gate.provider or program.settings.provider
        return tuple(ScalarAsk(query, provider, namespace) for query in queries if query is not None)
    if isinstance(gate, ConditionGate):
        usual = program.settings.provider
        return tuple(ScalarAsk(it.query, it.provider or usual, namespace) for it in gate.metrics.values())
    candidate, stable = program.split.candidate.workload, program.split.stable.workload
    match gate:
        case CountGate():
            return (counters(program, namespace, candidate, gate.metric, gate.slower_than),)
        case TrafficGate():
            metric: Metric = "success"
            edge = None
        case CompareGate() | SloGate():
            if chooses(gate, state):
                return (counters(program, namespace, stable, gate.metric, None),)
            chosen = state.evidence.edge if state.evidence is not None else None
            metric, edge = gate.metric, chosen or gate.slower_than
        case _:
            assert_never(gate)
    return tuple(counters(program, namespace, workload, metric, edge) for workload in (candidate, stable))


def counters(program: Program, namespace: str, workload: str, metric: Metric, slower_than: float | None) -> CountAsk:
    """The question about one workload's counters."""
    settings = program.settings
    return CountAsk(metric, namespace, workload, slower_than, settings.labels, settings.provider, namespace)


def before(gate: Asked, program: Program, namespace: str, state: GateState, now: float) -> PastAsk | None:
    """What a gate asks once, at its first look: how stable has been until now.  None at every other look."""
    if not isinstance(gate, CompareGate | SloGate) or not begins(gate, state):
        return None
    edge = state.evidence.edge if state.evidence is not None else None
    stable = counters(program, namespace, program.split.stable.workload, gate.metric, edge or gate.slower_than)
    return PastAsk(stable, now - WINDOW, now, max(gate.every, STEP))


_GRAVEST: Final = ("unknown", "many", "stale", "no-data", "value")
"""Which of several answers stands for all."""


def sample(gate: Gate, readings: Sequence[Reading], past: Reading | None = None) -> Sample:
    """The answers: the first is the gate's, a second one is stable's.  `past`: to `before`."""
    if isinstance(gate, ConditionGate):
        return _together(dict(zip(gate.metrics, readings, strict=True)))
    first, *second = readings
    return Sample(
        first.status,
        first.query,
        first.value,
        first.pods,
        first.detail,
        sample(gate, second) if second else None,
        bursts=memory.blocks(replay(past.past)) if past is not None else (),
        within=first.within,
    )


def _together(readings: Mapping[str, Reading]) -> Sample:
    """The numbers of a condition; as long as one of them is not known, nothing is."""
    query = "; ".join(f"{name}: {' '.join(reading.query.split())}" for name, reading in readings.items())
    name, worst = min(readings.items(), key=lambda it: _GRAVEST.index(it[1].status))
    if worst.status != "value":
        return Sample(worst.status, query, detail=f"{name}: {worst.detail or worst.status}")
    numbers = {name: reading.value for name, reading in readings.items() if reading.value is not None}
    return Sample("value", query, numbers=numbers)
