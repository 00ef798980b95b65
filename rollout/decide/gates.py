"""Gates: from samples to verdicts, and from verdicts to what they mean for the step.

A look is one judged sample.  Five verdicts, and only `fail` can ever roll back:
pass, fail, inconclusive (too few requests yet), no-data (nothing to judge), unknown (the metrics could not be asked).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, assert_never

from rollout.decide import sequential
from rollout.decide.compare import FULL
from rollout.decide.figures import points
from rollout.decide.reason import Reason
from rollout.decide.seen import Sample
from rollout.errors import InvalidInput
from rollout.plan import expression
from rollout.plan.limits import compares
from rollout.plan.program import ConditionGate, CountGate, Gate, Limits, QueryGate, ReadyGate, Step
from rollout.plan.query import fill
from rollout.plan.run import GateState, Look, State
from rollout.plan.sequential import CompareGate, GateFails, Judging, SloGate, TrafficGate

WORST: Final = 5
"""Pods with bad requests that people are told of, the worst first."""


@dataclass(frozen=True, slots=True)
class GateFailure:
    """Which gate failed and the sentence that says why, with numbers."""

    gate: str
    message: str
    does: GateFails = None
    """What it does; None: what the step says."""


def due(step: Step, state: State, now: float) -> tuple[Gate, ...]:
    """The gates of a step whose next look has come. None before the step's hold has begun."""
    if state.held_since is None:
        return ()
    return tuple(g for g in step.gates if state.gates.get(g.name, GateState()).next_look <= now)


def reaching(gate: QueryGate, state: GateState, began: float, now: float) -> str:
    """The query of a look, which compares with what was before the last sound one, or before the step began.

    Looks that come late (the engine or the metrics were away) reach back further: a fixed distance would compare what
    broke meanwhile with itself, and find nothing wrong.

    Args:
        gate: whose query it is.
        state: what is remembered of it in this step.
        began: when the step did.
        now: when it looks.
    """
    if not gate.back:
        return gate.query
    sound = max((it.at for it in state.looks if it.verdict == "pass"), default=began)
    missed = max(0, int((now - sound) // gate.every) - 1)
    return fill(gate.query, {"before": f"{round(gate.back + missed * gate.every)}s"})


def look(gate: Gate, before: GateState, sample: Sample, now: float, *, judged: bool, weight: float = 0.0) -> GateState:
    """The gate's memory after one sample. `judged` is False during warm-up: counted, not judged.

    `weight`: percent that the candidate is asked to have.  The first value of a new attempt is not judged either: it
    tells of what was before.
    """
    # at whole seconds: what many runs ask at the same moment is asked together
    later = float(round(now + gate.every)) if gate.every >= 2 else now + gate.every
    after = replace(before, next_look=later, query=sample.query, nodes=_nodes(before, sample))
    if not isinstance(gate, Limits):
        return sequential.look(gate, after, sample, now, judged=judged, weight=weight)
    if compares(gate) and weight >= FULL:
        alone = Look(now, "pass", None, "all requests are on the candidate: there is nothing to compare with")
        return _remember(gate, after, alone) if judged else after
    if sample.status != "value":
        return _remember(gate, after, _dataless(gate, sample, now))
    after, judged = replace(after, anew=False), judged and not before.anew
    match gate:
        case CountGate():
            return _count(gate, after, sample, now, judged=judged)
        case ConditionGate():
            return _remember(gate, after, _together(gate, sample, now)) if judged else after
        case QueryGate() if compares(gate):
            return _remember(gate, after, _relative(gate, sample, now)) if judged else after
        case QueryGate() | ReadyGate():
            return _remember(gate, after, _compare(gate, sample.value, now)) if judged else after
        case _:
            assert_never(gate)


def _nodes(before: GateState, sample: Sample) -> Mapping[str, str]:
    """Where the worst pods are: an end that is their node's fault looks like the version's, and then they are gone."""
    if not sample.pods:
        return before.nodes
    known = {**before.nodes, **sample.nodes}
    bad = sorted((-worse, pod) for pod, (_, worse) in sample.pods.items() if worse > 0)
    return {pod: known[pod] for _, pod in bad[:WORST] if pod in known}


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


def _together(gate: ConditionGate, sample: Sample, now: float) -> Look:
    """Judge several numbers by one condition."""
    units = {name: f" {asked.unit}" if asked.unit else "" for name, asked in gate.metrics.items()}
    told = ", ".join(f"{name} {value:.4g}{units.get(name, '')}" for name, value in sample.numbers.items())
    try:
        true = expression.holds(gate.condition, sample.numbers)
    except InvalidInput as error:
        return Look(now, "no-data", None, f"{error} ({told})")
    text = f"{told}: {gate.condition}"
    return Look(now, "pass", None, text) if true else Look(now, "fail", None, f"{told}; not so: {gate.condition}")


def _relative(gate: QueryGate, sample: Sample, now: float) -> Look:
    """Compare with a factor of stable's value; of nothing, or less, no factor tells anything."""
    peer = sample.peer or Sample("no-data", "")
    if peer.status != "value" or peer.value is None or sample.value is None:
        found = _dataless(gate, replace(peer, status="no-data") if peer.status == "value" else peer, now)
        return replace(found, text=f"stable: {found.text}")
    both = f"{_plain(gate, sample.value)}, stable {_plain(gate, peer.value)}"
    if peer.value > 0:
        return _compare(gate, sample.value / peer.value, now, f" ({both})")
    if sample.value == peer.value:
        return _compare(gate, 1.0, now, f" ({both})")
    return Look(now, "inconclusive", None, f"{both}: no factor leads from one to the other")


def _plain(gate: QueryGate | ReadyGate, value: float) -> str:
    return f"{value:.4g}{' ' if gate.unit else ''}{gate.unit}"


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


_GRAVEST: Final[Sequence[GateFails]] = ("rollback", None, "hold")
"""Of gates that have failed, whose word counts."""


def failure(gates: Iterable[Gate], states: Mapping[str, GateState], overdue: float = 0.0) -> GateFailure | None:
    """The first gate that has failed, one that rolls back before one that holds; none that is to promote.

    `overdue`: seconds since the hold was over, for gates that may be undecided only for so long.
    """
    failed = [
        (gate, text)
        for gate in gates
        if (text := shortfall(gate, states.get(gate.name, GateState()), overdue)) and gate_fails(gate) != "promote"
    ]
    if not failed:
        return None
    gate, text = min(failed, key=lambda it: _GRAVEST.index(gate_fails(it[0])))
    return GateFailure(gate.name, text, gate_fails(gate))


def gate_fails(gate: Gate) -> GateFails:
    """What the failure of a gate does; of the traffic's split, which has none, nothing."""
    return None if isinstance(gate, TrafficGate) else gate.on_failure


def shortfall(gate: Gate, state: GateState, overdue: float = 0.0) -> str:
    """Why a gate has failed: of limits, as often as it may; of evidence, by its last look.  Empty when it has not."""
    if gate.observe_only or not state.looks or isinstance(gate, TrafficGate):
        return ""
    if gate.on_inconclusive == "fail" and _undecided(gate, state, overdue):
        return f"{gate.name}: {state.looks[-1].text}"
    if isinstance(gate, Judging):
        return f"{gate.name}: {state.looks[-1].text}" if state.looks[-1].verdict == "fail" else ""
    judged = [x for x in state.looks if x.verdict in ("pass", "fail")][-gate.over :]
    failed = [x for x in judged if x.verdict == "fail"]
    if len(failed) < gate.failures:
        return ""
    return f"{gate.name} was {failed[-1].text}, in {len(failed)} of the last {len(judged)} looks"


def _undecided(gate: Limits | Judging, state: GateState, overdue: float) -> bool:
    """Whether a gate has told too little for longer than it may.

    Of limits an outage of the metrics counts as well, from the last look that was judged on: a single look that went
    wrong is no reason, however late it comes.
    """
    last = state.looks[-1]
    if gate.max_hold is None or overdue < gate.max_hold:
        return False
    if isinstance(gate, Judging):
        return last.verdict == "inconclusive"
    judged = max((x.at for x in state.looks if x.verdict in ("pass", "fail")), default=-math.inf)
    return last.verdict in ("inconclusive", "unknown") and last.at - judged >= gate.max_hold


def waiting(
    gates: Iterable[Gate], states: Mapping[str, GateState], since: float, overdue: float = 0.0
) -> tuple[Reason, str] | None:
    """Why a step cannot pass yet although its time may be over: the first gate without a pass in this step."""
    for gate in gates:
        if gate.observe_only:
            continue
        state = states.get(gate.name, GateState())
        last = state.looks[-1] if state.looks else None
        if last is None or last.at < since:
            return Reason.NO_DATA, f"{gate.name} has not been looked at yet"
        if isinstance(gate, Limits | Judging) and gate.on_inconclusive == "pass" and _undecided(gate, state, overdue):
            continue
        if gate_fails(gate) == "promote" and shortfall(gate, state, overdue):
            continue
        if last.verdict != "pass":
            return _lacks(gate, last)
    return None


def proved(gates: Iterable[Gate], states: Mapping[str, GateState]) -> bool:
    """Whether gates that all pass have more than seen nothing: each that decides has proved that nothing is wrong.

    The traffic's split needs no proof; a fixed limit has none.
    """
    deciding = [gate for gate in gates if not gate.observe_only and not isinstance(gate, TrafficGate)]
    return bool(deciding) and all(
        isinstance(gate, Judging) and sequential.proved(gate, states.get(gate.name, GateState())) for gate in deciding
    )


def _warning(gate: Gate) -> str:
    if gate_fails(gate) == "promote":
        return "it goes on once the gate passes, or has failed for good (onFailure: promote)"
    return f"one more failed look may {'stop' if gate_fails(gate) == 'hold' else 'end'} the run"


def _lacks(gate: Gate, last: Look) -> tuple[Reason, str]:
    """What a gate's last look lacks, to be a pass."""
    match last.verdict:
        case "fail" if isinstance(gate, TrafficGate):
            return Reason.TRAFFIC_ASKEW, f"{gate.name}: {last.text}"
        case "fail":
            return Reason.GATE_FAILED, f"{gate.name} is {last.text}; {_warning(gate)}"
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
        case QueryGate() if gate.stable_query is not None:
            return f"{value:.4g} × stable"
        case QueryGate() | ReadyGate():
            return _plain(gate, value)
        case ConditionGate():
            return f"{value:.4g}"
        case _:
            assert_never(gate)
