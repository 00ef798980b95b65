"""What would change a gate's verdict, and how long that takes at least: for whoever is on call and may wait or act.

One sentence for each kind of gate and each verdict.  What cannot be known is not guessed.
"""

from __future__ import annotations

import math
from typing import assert_never

from rollout.decide import compare, slo
from rollout.decide.figures import odds, span
from rollout.decide.gates import gate_fails
from rollout.plan.evidence import Evidence
from rollout.plan.limits import ConditionGate, CountGate, Gate, Limits, QueryGate, ReadyGate, compares
from rollout.plan.run import GateState, Look
from rollout.plan.sequential import CompareGate, Judging, TrafficGate


def outlook(gate: Gate, state: GateState, now: float) -> str:
    """What is next for a gate whose step is under way."""
    due = state.next_look - now
    again = f"next look in {span(due)}" if due >= 1 else "next look now"
    if not state.looks:
        return f"nothing has been judged yet; {again}"
    return f"{_changes(gate, state, state.looks[-1])}; {again}"


def _changes(gate: Gate, state: GateState, last: Look) -> str:
    if gate.observe_only:
        return "it only observes: the run goes on either way"
    match last.verdict:
        case "unknown":
            return "it needs an answer of the metrics, and nothing is held against the version until then"
        case "no-data":
            return _without_data(gate)
        case "inconclusive":
            return _undecided(gate, state)
        case "fail":
            return _failed(gate, state)
        case "pass":
            return _passed(gate, state)
        case _:
            assert_never(last.verdict)


def _without_data(gate: Gate) -> str:
    match gate:
        case CompareGate() | TrafficGate():
            return "it needs requests to both versions"
        case ConditionGate():
            return "it needs a value of each of its queries"
        case QueryGate() if compares(gate):
            return "it needs a value of its query for both versions"
        case QueryGate():
            return "it needs a value of its query"
        case ReadyGate():
            return "the step goes on when nobody is in the way any more"
        case _:
            return "it needs requests to the candidate"


def _undecided(gate: Gate, state: GateState) -> str:
    lacks = decides(gate, state) if isinstance(gate, Judging) else _few(gate, state)
    if isinstance(gate, TrafficGate) or gate.max_hold is None:
        return lacks
    ends = {"pass": "it passes", "fail": f"it {_ends(gate)} the run"}
    then = ends.get(gate.on_inconclusive or "hold", "the run waits for a person")
    return f"{lacks}; undecided {span(gate.max_hold)} after the step's time, {then}"


def _few(gate: Gate, state: GateState) -> str:
    """What a limit lacks before it can be applied."""
    if isinstance(gate, QueryGate):
        return "stable's value has to be over 0, or the same as the candidate's"
    lacking = max(gate.min_requests - state.total, 1.0) if isinstance(gate, CountGate) else 1.0
    return f"{lacking:.0f} more requests to the candidate decide it"


def _ends(gate: Gate) -> str:
    """What the failure of a gate does to the run."""
    return "stops" if gate_fails(gate) == "hold" else "ends"


def decides(gate: Judging, state: GateState) -> str:
    """What an undecided gate lacks: requests in this step, or evidence."""
    known = state.evidence or Evidence()
    lacking = gate.min_requests - state.requests
    if lacking > 0:
        rate = compare.candidate_rate(known, gate.every)
        time = f" (about {span(lacking / rate)})" if rate > 0 else ""
        return f"{lacking:.0f} more requests to the candidate in this step{time}, before it passes"
    return compare.outlook(gate, known) if isinstance(gate, CompareGate) else slo.outlook(gate, known)


def _failed(gate: Gate, state: GateState) -> str:
    if isinstance(gate, TrafficGate):
        return "the run goes on when the last minute's requests divide as the weight says, and never ends for this"
    if gate_fails(gate) == "promote":
        return "it goes on when the gate passes, or has failed for good (onFailure: promote)"
    if isinstance(gate, Judging):
        return f"that {_ends(gate)} the run: evidence needs no second opinion"
    more = gate.failures - _failures(gate, state)
    if more <= 0:
        return f"that {_ends(gate)} the run"
    end = _ends(gate)
    looks = f"one more failed look {end}" if more == 1 else f"{more} more failed looks {end.removesuffix('s')}"
    return f"{looks} the run, in {span(more * gate.every)} at the earliest; it goes on when they pass"


def _passed(gate: Gate, state: GateState) -> str:
    if isinstance(gate, TrafficGate):
        return "requests that do not divide as the weight says make the run wait, and never end it"
    if isinstance(gate, Judging):
        known = state.evidence or Evidence()
        against = compare.finding(gate, known).log_e if isinstance(gate, CompareGate) else slo.against(known)
        return f"evidence of {odds(-math.log(gate.alpha))} against it {_ends(gate)} the run, it is {odds(against)} now"
    failed = _failures(gate, state)
    so_far = f", {failed} did" if failed else ""
    return f"{gate.failures} failed of {gate.over} looks {_ends(gate).removesuffix('s')} the run{so_far}"


def _failures(gate: Limits, state: GateState) -> int:
    judged = [look for look in state.looks if look.verdict in ("pass", "fail")][-gate.over :]
    return sum(look.verdict == "fail" for look in judged)
