"""What a gate asks the metrics, and the answers as one sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from rollout.decide.seen import Sample
from rollout.decide.sequential import chooses
from rollout.plan.program import CountGate, Program, QueryGate
from rollout.plan.run import GateState
from rollout.plan.sequential import CompareGate, Metric, SloGate, TrafficGate
from rollout.ports.metrics import Ask, CountAsk, Reading, ScalarAsk

Asked = CountGate | QueryGate | CompareGate | SloGate | TrafficGate
"""Gates whose questions are for the metrics alone."""


def of(gate: Asked, program: Program, namespace: str, state: GateState) -> tuple[Ask, ...]:
    """The questions behind a gate: about the candidate, and then about stable where it is compared with."""
    if isinstance(gate, QueryGate):
        return (ScalarAsk(gate.query, gate.provider or program.settings.provider, namespace),)
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


def sample(readings: Sequence[Reading]) -> Sample:
    """The answers: the first is the gate's, a second one is stable's."""
    first, *second = readings
    return Sample(
        first.status,
        first.query,
        first.value,
        first.pods,
        first.detail,
        sample(second) if second else None,
        first.within,
    )
