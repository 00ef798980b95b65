"""Gates: from samples to verdicts, and from verdicts to what they mean for the step.

A look is one judged sample.  Five verdicts, and only `fail` can ever roll back:
pass, fail, inconclusive (too few requests yet), no-data (nothing to judge), unknown (the metrics could not be asked).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from rollout.decide import sequential
from rollout.decide.figures import points
from rollout.decide.reason import Reason
from rollout.decide.seen import Sample
from rollout.plan.program import CountGate, Gate, Limits, QueryGate, ReadyGate, Step
from rollout.plan.run import GateState, Look, State
from rollout.plan.sequential import CompareGate, Judging, SloGate, TrafficGate


@dataclass(frozen=True, slots=True)
class GateFailure:
    """Which gate failed and the sentence that says why, with numbers."""

    gate: str
    message: str


def due(step: Step, state: State, now: float) -> tuple[Gate, ...]:
    """The gates of a step whose next look has come. None before the step's hold has begun."""
    if state.held_since is None:
        return ()
    return tuple(g for g in step.gates if state.gates.get(g.name, GateState()).next_look <= now)


def look(gate: Gate, before: GateState, sample: Sample, now: float, *, judged: bool, weight: float = 0.0) -> GateState:
    """The gate's memory after one sample. `judged` is False during warm-up: counted, not judged.

    `weight`: percent that the candidate is asked to have.  The first value of a new attempt is not judged either: it
    tells of what was before.
    """
    # at whole seconds: what many runs ask at the same moment is asked together
    later = float(round(now + gate.every)) if gate.every >= 2 else now + gate.every
    after = replace(before, next_look=later, query=sample.query)
    if not isinstance(gate, Limits):
        return sequential.look(gate, after, sample, now, judged=judged, weight=weight)
    if sample.status != "value":
        return _remember(gate, after, _dataless(gate, sample, now))
    after, judged = replace(after, anew=False), judged and not before.anew
    match gate:
        case CountGate():
            return _count(gate, after, sample, now, judged=judged)
        case QueryGate() | ReadyGate():
            return _remember(gate, after, _compare(gate, sample.value, now)) if judged else after
        case _:
            assert_never(gate)


def _count(gate: CountGate, before: GateState, sample: Sample, now: float, *, judged: bool) -> GateState:
    """Add the deltas of the raw counters; judge once there are enough requests.

    A pod that was not seen before was born in this run and counts from zero (not so where pods are counted together,
    by no name: others may have been counted before); one whose counters fell, or whose bad
    requests grew by more than all of them did, has restarted and counts from zero as well (research: new series,
    counter reset).
    """
    total, bad = before.total, before.bad
    for pod, (requests, failed) in sample.pods.items():
        seen_requests, seen_bad = before.cursor.get(pod, (0.0, 0.0) if pod else (requests, failed))
        more, worse = requests - seen_requests, failed - seen_bad
        reset = not 0 <= worse <= more
        total += requests if reset else more
        bad += failed if reset else worse
    fresh = total - before.total
    after = replace(
        before,
        cursor={**{p: c for p, c in before.cursor.items() if p not in sample.pods}, **sample.pods},
        total=total,
        bad=bad,
        requests=before.requests + fresh,
    )
    if not judged:
        return replace(after, total=0.0, bad=0.0)
    if total < max(gate.min_requests, 1):
        kind: Literal["no-data", "inconclusive"] = "no-data" if total == 0 else "inconclusive"
        text = "no requests reached the candidate" if total == 0 else f"{total:.0f} of {gate.min_requests} requests"
        return _remember(gate, after, Look(now, kind, None, text))
    share = bad / total
    value = 1 - share if gate.metric == "success" else share
    verdict = _compare(gate, value, now, f" ({total - bad:.0f} good of {total:.0f})")
    return _remember(gate, replace(after, total=0.0, bad=0.0), verdict)


def _compare(gate: Limits, value: float | None, now: float, detail: str = "") -> Look:
    if value is None:
        return Look(now, "no-data", None, "the query has no value")
    if gate.min is not None and value < gate.min:
        return Look(now, "fail", value, f"{show(gate, value)}, limit ≥ {show(gate, gate.min)}{detail}")
    if gate.max is not None and value > gate.max:
        return Look(now, "fail", value, f"{show(gate, value)}, limit ≤ {show(gate, gate.max)}{detail}")
    return Look(now, "pass", value, f"{show(gate, value)}{detail}")


def _dataless(gate: Limits, sample: Sample, now: float) -> Look:
    match sample.status:
        case "unknown":
            return Look(now, "unknown", None, sample.detail or "the metrics cannot be asked")
        case "no-data" | "stale" | "many" | "value":
            text = sample.detail or {"no-data": "no data", "stale": "the newest sample is too old"}.get(
                sample.status, "several series where one number was asked for"
            )
            if sample.status == "no-data" and gate.on_no_data != "hold":
                return Look(now, gate.on_no_data, None, f"{text} (onNoData: {gate.on_no_data})")
            return Look(now, "no-data", None, text)
        case _:
            assert_never(sample.status)


def _remember(gate: Limits, state: GateState, seen: Look) -> GateState:
    """Keep what `failures of over` needs; of looks without a verdict only the newest: they must crowd out nothing."""
    judged = [x for x in (*state.looks, seen) if x.verdict in ("pass", "fail")][-gate.over :]
    return replace(state, looks=(*judged, seen) if seen.verdict not in ("pass", "fail") else tuple(judged))


def failure(gates: Iterable[Gate], states: Mapping[str, GateState], overdue: float = 0.0) -> GateFailure | None:
    """The first gate that has failed: of limits, as often as it may; of evidence, by its last look.

    `overdue`: seconds since the hold was over, for gates that may be undecided only for so long.
    """
    for gate in gates:
        looks = states.get(gate.name, GateState()).looks
        if gate.observe_only or not looks or isinstance(gate, TrafficGate):
            continue
        if isinstance(gate, Judging):
            last = looks[-1]
            if last.verdict == "fail" or (gate.on_inconclusive == "fail" and _undecided(gate, last, overdue)):
                return GateFailure(gate.name, f"{gate.name}: {last.text}")
            continue
        judged = [x for x in looks if x.verdict in ("pass", "fail")][-gate.over :]
        failed = [x for x in judged if x.verdict == "fail"]
        if len(failed) >= gate.failures:
            return GateFailure(
                gate.name, f"{gate.name} was {failed[-1].text}, in {len(failed)} of the last {len(judged)} looks"
            )
    return None


def _undecided(gate: Judging, last: Look, overdue: float) -> bool:
    """Whether a gate has told too little for longer than it may."""
    return last.verdict == "inconclusive" and overdue >= gate.max_hold


def waiting(
    gates: Iterable[Gate], states: Mapping[str, GateState], since: float, overdue: float = 0.0
) -> tuple[Reason, str] | None:
    """Why a step cannot pass yet although its time may be over: the first gate without a pass in this step."""
    for gate in gates:
        if gate.observe_only:
            continue
        looks = states.get(gate.name, GateState()).looks
        last = looks[-1] if looks else None
        if last is None or last.at < since:
            return Reason.NO_DATA, f"{gate.name} has not been looked at yet"
        if isinstance(gate, Judging) and gate.on_inconclusive == "pass" and _undecided(gate, last, overdue):
            continue
        if last.verdict != "pass":
            return _lacks(gate, last)
    return None


def _lacks(gate: Gate, last: Look) -> tuple[Reason, str]:
    """What a gate's last look lacks, to be a pass."""
    match last.verdict:
        case "fail" if isinstance(gate, TrafficGate):
            return Reason.TRAFFIC_ASKEW, f"{gate.name}: {last.text}"
        case "fail":
            return Reason.GATE_FAILED, f"{gate.name} is {last.text}; one more failed look may end the run"
        case "unknown":
            return Reason.METRICS_UNAVAILABLE, f"{gate.name}: {last.text}"
        case "no-data" if isinstance(gate, ReadyGate):
            return Reason.BLOCKERS, last.text
        case "inconclusive" if isinstance(gate, Judging):
            return Reason.INCONCLUSIVE, f"{gate.name}: {last.text}"
        case "no-data" | "inconclusive" | "pass":
            return Reason.NO_DATA, f"{gate.name}: {last.text}"
        case _:
            assert_never(last.verdict)


def show(gate: Gate, value: float) -> str:
    """A value with its unit: shares as percent with two digits, differences in points, others plain."""
    match gate:
        case CompareGate():
            return f"{'+' if value >= 0 else '-'}{points(abs(value))}"
        case CountGate() | SloGate() | TrafficGate():
            return f"{100 * value:.2f} %"
        case QueryGate() | ReadyGate():
            return f"{value:.4g}{' ' if gate.unit else ''}{gate.unit}"
        case _:
            assert_never(gate)
