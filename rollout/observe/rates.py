"""What a plan's service is used to: how many requests, how many bad ones, and how bursty those come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from rollout.decide.backtest import Past, past
from rollout.decide.evidence.burst import WINDOW, factor, replay
from rollout.decide.evidence.edges import Buckets, usual_edge
from rollout.decide.simulate import Rates, Tried
from rollout.observe.questions import STEP, counters
from rollout.plan.program import Program
from rollout.ports.metrics import CountAsk, Metrics, PastAsk, Reading, Track


async def recent(
    metrics: Metrics, program: Program, namespace: str, gates: Sequence[Tried], now: float
) -> tuple[Mapping[str, Rates], str]:
    """The last half hour of stable's traffic, for each gate; what is not there is left out, and said in words."""
    readings = await over(metrics, program, namespace, gates, now - WINDOW, now)
    rates = {name: found for name, reading in readings.items() if (found := _rates(reading)) is not None}
    lacking = [f"{gate.name}: {_why(readings.get(gate.name))}" for gate in gates if gate.name not in rates]
    return rates, "; ".join(lacking)


async def pasts(
    metrics: Metrics, program: Program, namespace: str, gates: Sequence[Tried], start: float, end: float
) -> tuple[Mapping[str, Past], str]:
    """Stable's counters from one moment to another, for each gate; what is not there is left out, and said in words."""
    readings = await over(metrics, program, namespace, gates, start, end)
    found = {name: past(reading.past, STEP) for name, reading in readings.items() if reading.status == "value"}
    lacking = [f"{gate.name}: {_lacks(readings.get(gate.name))}" for gate in gates if gate.name not in found]
    return found, "; ".join(lacking)


async def over(
    metrics: Metrics, program: Program, namespace: str, gates: Sequence[Tried], start: float, end: float
) -> Mapping[str, Reading]:
    """What stable's counters were, for each gate by name; a gate that cannot choose a bound has none. Asked at once."""
    asks = await _bounded(metrics, program, namespace, gates)
    wanted = {name: PastAsk(ask, start, end, STEP) for name, ask in asks.items()}
    answers = await metrics.ask(list(dict.fromkeys(wanted.values()))) if wanted else {}
    return {name: answers[ask] for name, ask in wanted.items()}


async def _bounded(
    metrics: Metrics, program: Program, namespace: str, gates: Sequence[Tried]
) -> Mapping[str, CountAsk]:
    """The questions about stable, with the bounds that gates without one would choose, where they can."""
    stable = program.split.stable.workload
    asks = {gate.name: counters(program, namespace, stable, gate.metric, gate.slower_than) for gate in gates}
    free = [ask for ask in asks.values() if ask.metric == "slow" and ask.slower_than is None]
    readings = await metrics.ask(list(dict.fromkeys(free))) if free else {}
    edges = {
        ask: usual_edge(Buckets(sum(total for total, _ in reading.pods.values()), reading.within))
        for ask, reading in readings.items()
    }
    return {
        name: replace(ask, slower_than=edges[ask]) if ask in edges else ask
        for name, ask in asks.items()
        if edges.get(ask, 0.0) is not None
    }


def _rates(reading: Reading) -> Rates | None:
    if reading.status != "value":
        return None
    total, bad, length = (sum(part) for part in zip(*map(_grown, reading.past.values()), strict=True))
    begun, ended = _span(reading.past)
    if total <= 0 or ended <= begun or length <= 0:
        return None
    return Rates(total / (ended - begun), bad / total, factor(replay(reading.past)).phi)


def _grown(track: Track) -> tuple[float, float, float]:
    """Requests, bad ones, and seconds in which they were counted; resets left out."""
    total = bad = length = 0.0
    for (at, before, worse), (later, after, worst) in pairwise(track):
        if 0 <= worst - worse <= after - before:
            total, bad, length = total + after - before, bad + worst - worse, length + later - at
    return total, bad, length


def _span(past: Mapping[str, Track]) -> tuple[float, float]:
    return min(track[0][0] for track in past.values()), max(track[-1][0] for track in past.values())


def _lacks(reading: Reading | None) -> str:
    if reading is None:
        return "stable's durations have no histogram"
    return reading.detail or reading.status


def _why(reading: Reading | None) -> str:
    return "no requests in the last half hour" if reading is not None and not reading.detail else _lacks(reading)
