"""Gates: from samples to verdicts, and from verdicts to what they mean for the step.

A look is one judged sample.  Five verdicts, and only `fail` can ever roll back:
pass, fail, inconclusive (too few requests yet), no-data (nothing to judge), unknown (the metrics could not be asked).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from rollout.decide.reason import Reason
from rollout.decide.seen import Sample
from rollout.plan.program import CountGate, Gate, QueryGate, ReadyGate, Step
from rollout.plan.run import GateState, Look, State


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


def look(gate: Gate, before: GateState, sample: Sample, now: float, *, judged: bool) -> GateState:
    """The gate's memory after one sample. `judged` is False during warm-up: counted, not judged.

    The first value of a new attempt is not judged either: it tells of what was before.
    """
    # at whole seconds: what many runs ask at the same moment is asked together
    later = float(round(now + gate.every)) if gate.every >= 2 else now + gate.every
    after = replace(before, next_look=later, query=sample.query)
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

    A pod that was not seen before was born in this run and counts from zero; one whose counters fell, or whose bad
    requests grew by more than all of them did, has restarted and counts from zero as well (research: new series,
    counter reset).
    """
    total, bad = before.total, before.bad
    for pod, (requests, failed) in sample.pods.items():
        seen_requests, seen_bad = before.cursor.get(pod, (0.0, 0.0))
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


def _compare(gate: Gate, value: float | None, now: float, detail: str = "") -> Look:
    if value is None:
        return Look(now, "no-data", None, "the query has no value")
    if gate.min is not None and value < gate.min:
        return Look(now, "fail", value, f"{show(gate, value)}, limit ≥ {show(gate, gate.min)}{detail}")
    if gate.max is not None and value > gate.max:
        return Look(now, "fail", value, f"{show(gate, value)}, limit ≤ {show(gate, gate.max)}{detail}")
    return Look(now, "pass", value, f"{show(gate, value)}{detail}")


def _dataless(gate: Gate, sample: Sample, now: float) -> Look:
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


def _remember(gate: Gate, state: GateState, seen: Look) -> GateState:
    """Keep what `failures of over` needs; of looks without a verdict only the newest: they must crowd out nothing."""
    judged = [x for x in (*state.looks, seen) if x.verdict in ("pass", "fail")][-gate.over :]
    return replace(state, looks=(*judged, seen) if seen.verdict not in ("pass", "fail") else tuple(judged))


def failure(gates: Iterable[Gate], states: Mapping[str, GateState]) -> GateFailure | None:
    """The first gate that has failed as often as it may."""
    for gate in gates:
        looks = [x for x in states.get(gate.name, GateState()).looks if x.verdict in ("pass", "fail")][-gate.over :]
        failed = [x for x in looks if x.verdict == "fail"]
        if not gate.observe_only and len(failed) >= gate.failures:
            return GateFailure(
                gate.name, f"{gate.name} was {failed[-1].text}, in {len(failed)} of the last {len(looks)} looks"
            )
    return None


def waiting(gates: Iterable[Gate], states: Mapping[str, GateState], since: float) -> tuple[Reason, str] | None:
    """Why a step cannot pass yet although its time may be over: the first gate without a pass in this step."""
    for gate in gates:
        if gate.observe_only:
            continue
        looks = states.get(gate.name, GateState()).looks
        last = looks[-1] if looks else None
        if last is None or last.at < since:
            return Reason.NO_DATA, f"{gate.name} has not been looked at yet"
        match last.verdict:
            case "pass":
                continue
            case "fail":
                return Reason.GATE_FAILED, f"{gate.name} is {last.text}; one more failed look may end the run"
            case "unknown":
                return Reason.METRICS_UNAVAILABLE, f"{gate.name}: {last.text}"
            case "no-data" if isinstance(gate, ReadyGate):
                return Reason.BLOCKERS, last.text
            case "no-data" | "inconclusive":
                return Reason.NO_DATA, f"{gate.name}: {last.text}"
            case _:
                assert_never(last.verdict)
    return None


def show(gate: Gate, value: float) -> str:
    """A value with its unit: shares as percent with two digits, others plain."""
    if isinstance(gate, CountGate):
        return f"{100 * value:.2f} %"
    return f"{value:.4g}{' ' if gate.unit else ''}{gate.unit}"
