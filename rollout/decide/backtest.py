"""What would have happened: the gates of a plan on counters that a service really had, with nothing new in it.

Some of stable's own pods play the candidate, as many as the weight asks for, the others are stable.  They run one
version, so whoever is rejected is a sound one; their errors come as they really did, in bursts and in incidents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from rollout.decide import memory
from rollout.decide.evidence.burst import WINDOW, Track, replay
from rollout.decide.gates import failure, look
from rollout.decide.seen import Sample
from rollout.decide.simulate import Tried
from rollout.plan.program import CountGate, Program, Route, Step
from rollout.plan.run import GateState

FULL: Final = 100.0
"""At this weight no pod is left to compare with."""

End = Literal["finish", "rejected", "wait", "no-data"]


@dataclass(frozen=True, slots=True)
class Start:
    """How a run that began at one moment would have ended."""

    at: float
    end: End
    gate: str = ""
    step: int = 0
    """Counted from 1, as `rollout plan` does."""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """One gate's counters over the window, by moment."""

    tracks: Mapping[str, Track]
    step: float
    """Seconds between two moments."""
    moments: Mapping[float, Mapping[str, tuple[float, float]]]


def past(tracks: Mapping[str, Track], step: float) -> Past:
    """Counters as they came from the metrics, sorted by moment."""
    moments: dict[float, dict[str, tuple[float, float]]] = {}
    for pod, track in sorted(tracks.items()):
        for at, total, bad in track:
            moments.setdefault(at, {})[pod] = (total, bad)
    return Past(tracks, step, moments)


def starts(program: Program, pasts: Mapping[str, Past], begin: float, end: float, every: float) -> list[float]:
    """When a run may begin, so that stable's past is known by then and the run is over at the end of the window."""
    known = max(begin, min(min(past.moments) for past in pasts.values()))
    first = known + min(WINDOW, (end - begin) / 10)
    step = min(past.step for past in pasts.values())
    count = int((end - length(program) - first) // every) + 1
    return [first // step * step + every * number for number in range(max(count, 0))]


def backtest(
    program: Program, pasts: Mapping[str, Past], gates: Sequence[Tried], starts: Sequence[float]
) -> list[Start]:
    """Each start; the gates are by name in `pasts`."""
    return [_started(program, pasts, gates, at, turn) for turn, at in enumerate(starts)]


def summed(starts: Sequence[Start]) -> Mapping[End, int]:
    """How many ended in each way."""
    return Counter(start.end for start in starts)


def length(program: Program) -> float:
    """Seconds from the first weight to the end of the last divided one."""
    return sum(step.hold for _, step, _ in _divided(program))


def _divided(program: Program) -> Iterator[tuple[int, Step, float]]:
    weight = 0.0
    for number, step in enumerate(program.steps, 1):
        weight = next((one.weight for one in step.instructions if isinstance(one, Route)), weight)
        if 0 < weight < FULL and step.hold > 0:
            yield number, step, weight


def _started(program: Program, pasts: Mapping[str, Past], gates: Sequence[Tried], at: float, turn: int) -> Start:
    """The gates side by side, step by step, until one rejects or cannot tell at the end of a step."""
    states: dict[str, GateState] = {}
    began = at
    for number, step, weight in _divided(program):
        names = {gate.name for gate in step.gates}
        for gate in (gate for gate in gates if gate.name in names and gate.name in pasts):
            # other pods may play the candidate than in the step before: what a limit counts begins anew
            before = replace(states.get(gate.name, GateState()), requests=0.0, anew=isinstance(gate, CountGate))
            state, failed = _held(gate, before, pasts[gate.name], step, began, weight, turn)
            states[gate.name] = state
            if failed:
                return Start(at, "rejected", gate.name, number, failed)
            last = state.looks[-1] if state.looks else None
            if last is None or last.verdict in ("no-data", "unknown"):
                return Start(at, "no-data", gate.name, number, last.text if last else "no data")
            if last.verdict != "pass":
                return Start(at, "wait", gate.name, number, last.text)
        began += step.hold
    return Start(at, "finish")


def _held(
    gate: Tried, state: GateState, known: Past, step: Step, began: float, weight: float, turn: int
) -> tuple[GateState, str]:
    """One gate through one step: its memory, and why it rejects."""
    every = max(gate.every, known.step)
    chosen = _cast(known, began, weight, turn)
    for number in range(int(step.hold / every) + 1):
        now = began + number * every
        sample = _sample(known, now, chosen, first=state.evidence is None)
        state = look(gate, state, sample, now, judged=number * every >= step.warmup, weight=weight)
        bad = failure([gate], {gate.name: state})
        if bad is not None:
            return state, bad.message
    return state, ""


def _cast(known: Past, at: float, weight: float, turn: int) -> frozenset[str]:
    """The pods that play the candidate through a step: as many as the weight asks for, others at each start."""
    names = sorted(known.moments.get(_moment(known, at), {}))
    if len(names) < 2:
        return frozenset()
    names = names[turn % len(names) :] + names[: turn % len(names)]
    return frozenset(names[: min(max(1, round(weight / 100 * len(names))), len(names) - 1)])


def _moment(known: Past, at: float) -> float:
    return round(at / known.step) * known.step


def _sample(known: Past, now: float, chosen: frozenset[str], *, first: bool) -> Sample:
    """What the gate would have been shown."""
    at = _moment(known, now)
    pods = known.moments.get(at, {})
    ours = {name: counters for name, counters in pods.items() if name in chosen}
    if not ours:
        return Sample("no-data", "", detail="no pod with metrics that could play the candidate beside another one")
    peer = {name: counters for name, counters in pods.items() if name not in chosen}
    bursts = memory.blocks(replay(_before(known, at))) if first else ()
    beside = Sample("value", "", pods=peer) if peer else Sample("no-data", "")
    return Sample("value", "", pods=ours, peer=beside, bursts=bursts)


def _before(known: Past, at: float) -> Mapping[str, Track]:
    """The half hour before."""
    count = int(WINDOW / known.step)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for moment in (at - known.step * number for number in range(count, -1, -1)):
        for pod, (total, bad) in known.moments.get(moment, {}).items():
            found.setdefault(pod, []).append((moment, total, bad))
    return found
