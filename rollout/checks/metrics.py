"""Metrics: every gate's question is answered for stable, with the labels that tell versions apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rollout.checks.subject import Checker, Subject
from rollout.decide.gates import reaching
from rollout.observe import questions
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import POD
from rollout.plan.program import ConditionGate, Gate, Program, QueryGate, ReadyGate
from rollout.plan.query import fill
from rollout.plan.run import GateState
from rollout.plan.sequential import Metric, TrafficGate
from rollout.ports.metrics import Ask, Reading, ScalarAsk


async def answers(subject: Subject) -> Sequence[Finding]:
    """Ask everything that the gates will ask, about stable, all in one call."""
    if subject.program is None:
        return []
    questions_ = {gate.name: (gate, asks) for gate, asks in _questions(subject.program, subject.namespace)}
    asks = [(gate, ask) for gate, several in questions_.values() for ask in several]
    readings = await subject.world.metrics.ask(list(dict.fromkeys(ask for _, ask in asks))) if asks else {}
    found: dict[str, Finding] = {}
    for gate, ask in asks:
        finding = _judge(gate, readings[ask])
        if finding is not None:
            # one outage is one finding, however many gates it hits
            found.setdefault(f"{finding.code} {finding.message}", finding)
    pods = {pod for _, ask in asks for pod in readings[ask].pods}
    if pods and subject.program.workload and not found:
        found.update({f.code: f for f in await _labels(subject, pods)})
    return list(found.values())


def _questions(program: Program, namespace: str) -> Iterator[tuple[Gate, tuple[Ask, ...]]]:
    """What each gate asks, about stable: the candidate is not there yet."""
    for step in program.steps:
        for gate in step.gates:
            if isinstance(gate, ReadyGate):
                continue
            if isinstance(gate, ConditionGate):
                yield gate, questions.of(gate, program, namespace, GateState(), 0, 0)
                continue
            if isinstance(gate, QueryGate):
                query = gate.stable_query or reaching(gate, GateState(), 0, 0)
                yield gate, (ScalarAsk(query, gate.provider or program.settings.provider, namespace),)
                continue
            metric: Metric = "success" if isinstance(gate, TrafficGate) else gate.metric
            slower = None if isinstance(gate, TrafficGate) else gate.slower_than
            yield gate, (questions.counters(program, namespace, program.split.stable.workload, metric, slower),)


def _judge(gate: Gate, reading: Reading) -> Finding | None:
    what = f"gate {gate.name}"
    match reading.status:
        case "unknown":
            text = f"the metrics cannot be asked: {reading.detail or 'no answer'}"
            fix = "start Prometheus, or correct its address: spec.analysis.provider, --prometheus or ROLLOUT_PROMETHEUS"
            return Finding("RO401", Level.ERROR, text, where=what, fix=fix)
        case "no-data" if isinstance(gate, QueryGate) and gate.stable_query is not None:
            text = f"{what} has no data for stable, which its limits are factors of: {reading.query}"
            fix = "correct the query: ${candidate} stands for each of both workloads in turn"
            return Finding("RO402", Level.WARNING, text, where=what, fix=fix)
        case "no-data" if not isinstance(gate, QueryGate | ConditionGate):
            text = f"{what} has no data for stable: {reading.query}"
            fix = "send traffic through the mesh; if there is some, correct spec.analysis.labels"
            return Finding("RO402", Level.WARNING, text, where=what, fix=fix)
        case "stale":
            text = f"{what}: {reading.detail or 'the newest sample is old'}"
            return Finding("RO404", Level.WARNING, text, where=what, fix="look at Prometheus' scrape targets")
        case "many":
            text = f"{what} has several series where one number is needed: {reading.query}"
            return Finding("RO405", Level.ERROR, text, where=what, fix="put an aggregation such as sum() around it")
        case "value" | "no-data":
            # a query about the candidate has no data before there is one
            return None


async def _labels(subject: Subject, pods: set[str]) -> list[Finding]:
    """Counters must name pods that exist, else restarts cannot be told from fewer requests."""
    # of this workload only: a namespace can have thousands
    labels = subject.stable["spec"]["selector"].get("matchLabels") if subject.stable else None
    known = {pod["metadata"]["name"] for pod in await subject.world.cluster.list(POD, subject.namespace, labels)}
    if pods & known:
        return []
    label = subject.program.settings.labels.pod if subject.program else "pod"
    text = f"label {label} of the counters names no pod of {subject.namespace} (seen: {min(pods) or 'nothing'})"
    fix = "set spec.analysis.labels.pod to the label with the pod's name"
    return [Finding("RO403", Level.WARNING, text, fix=fix)]


OUTSIDERS: Final = 'sum(rate(%s{%s,%s="${namespace}",%s="${workload}",%s="none"}[5m]))'


async def outsiders(subject: Subject) -> Sequence[Finding]:
    """Callers without a sidecar follow no route: the plain Service gives them the candidate, whatever its weight."""
    plan, program = subject.plan, subject.program
    if plan is None or program is None or not program.workload:
        return []
    labels, provider = program.settings.labels, program.settings.provider
    match = ",".join(f'{name}="{value}"' for name, value in labels.match.items())
    query = OUTSIDERS % (labels.requests, match, labels.namespace, labels.workload, labels.security)
    ask = ScalarAsk(
        fill(query, {"namespace": subject.namespace, "workload": program.workload}), provider, subject.namespace
    )
    rate = (await subject.world.metrics.ask([ask]))[ask].value or 0.0
    if rate <= 0:
        return []
    text = f"{rate:.1f} requests/s come from outside the mesh; they reach the candidate past its weight"
    fix = "bring their callers into the mesh, or accept it: spec.candidate.outsideCallers: accept"
    level = Level.ERROR if plan.spec.candidate.outside_callers == "refuse" else Level.WARNING
    return [Finding("RO406", level, text, where=subject.where, fix=fix)]


CHECKERS: Final = (
    Checker("metrics-answer", "metrics", "every gate's query is answered", answers),
    Checker("metrics-outsiders", "metrics", "callers come through the mesh", outsiders),
)
