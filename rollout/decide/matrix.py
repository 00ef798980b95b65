"""The count matrix: every answer that a gate was shown, kept beside the run, so that all verdicts can be had again.

A verdict is a pure function of the gate, its memory and the answer.  So a run keeps the answers, and from where on:
in segments, of which the older goes when the newer is full.  Each begins with what the gates remembered then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from rollout.decide import gates
from rollout.decide.seen import Sample
from rollout.plan.program import Gate, Program, ReadyGate
from rollout.plan.run import GATES, GateState, Look, Row, Segment, State

SEGMENT: Final = 64 * 1024
"""Bytes of answers in a segment; stored, they are compressed to a third or less."""
LARGEST_BASE: Final = 24 * 1024
"""Bytes of what the gates remember; where it is more, nothing is kept beyond the first segment."""


def record(state: State, gate: Gate, sample: Sample, now: float, *, judged: bool) -> tuple[Segment, ...]:
    """The matrix with one answer more, about to be looked at."""
    if isinstance(gate, ReadyGate):
        return state.matrix  # it is answered in words, by a mesh's driver
    known = state.gates.get(gate.name, GateState())
    row = Row(now, state.step, gate.name, judged, state.weight, known.requests, known.anew, encode(sample))
    last = state.matrix[-1] if state.matrix else Segment(state.gates)
    if sum(len(one.sample) for one in last.rows) + len(row.sample) <= SEGMENT or not last.rows:
        return (*state.matrix[:-1], replace(last, rows=(*last.rows, row)))
    if len(GATES.dump_json(dict(state.gates))) > LARGEST_BASE:
        return state.matrix
    return last, Segment(state.gates, (row,))


@dataclass(frozen=True, slots=True)
class Replayed:
    """One look, judged again."""

    row: Row
    look: Look | None
    """The verdict; None where the answer was only counted."""


def replay(program: Program, segments: Sequence[Segment]) -> tuple[tuple[Replayed, ...], Mapping[str, GateState]]:
    """All looks again, in order, and what the gates remember at the end."""
    states = dict(segments[0].base) if segments else {}
    seen: list[Replayed] = []
    for row in (row for segment in segments for row in segment.rows):
        gate = next(it for it in program.steps[row.step].gates if it.name == row.gate)
        before = states.get(row.gate, GateState())
        if row.anew and not before.anew:
            before = GateState(cursor=before.cursor, query=before.query, anew=True)
        before = replace(before, requests=row.requests)
        after = gates.look(gate, before, decode(row.sample), row.at, judged=row.judged, weight=row.weight)
        states[row.gate] = after
        fresh = after.looks[-1:] if after.looks != before.looks else ()
        seen.append(Replayed(row, fresh[0] if fresh else None))
    return tuple(seen), states


def whole(segments: Sequence[Segment]) -> bool:
    """Whether the first of all looks is among them."""
    return not any(gate.looks or gate.evidence or gate.cursor for gate in segments[0].base.values())


def differences(replayed: Mapping[str, GateState], recorded: Mapping[str, GateState]) -> Iterator[str]:
    """Where a replay comes to something else than the run has; nothing when all is the same, bit for bit."""
    for name, gate in sorted(replayed.items()):
        known = recorded.get(name)
        if known is None or known.anew:
            continue  # a new attempt has begun, and not looked yet
        for field in ("looks", "cursor", "evidence", "total", "bad"):
            if getattr(gate, field) != getattr(known, field):
                yield f"{name}: {field}"


def encode(sample: Sample) -> str:
    """An answer as text, without its query."""
    return orjson.dumps(_list(sample)).decode()


def _list(sample: Sample) -> list[Any]:
    peer = _list(sample.peer) if sample.peer is not None else None
    within = sorted(sample.within.items())
    numbers = [dict(sample.numbers)] if sample.numbers else []
    return [sample.status, sample.value, sample.detail, dict(sample.pods), within, sample.bursts, peer, *numbers]


def decode(text: str) -> Sample:
    """The answer again."""
    return _sample(orjson.loads(text))


def _sample(stored: list[Any]) -> Sample:
    status, value, detail, pods, within, bursts, peer, *numbers = stored
    return Sample(
        status,
        "",
        value,
        {name: (float(total), float(bad)) for name, (total, bad) in pods.items()},
        detail,
        _sample(peer) if peer is not None else None,
        tuple((float(number), *sums) for number, *sums in bursts),
        {float(edge): count for edge, count in within},
        numbers={name: float(number) for name, number in numbers[0].items()} if numbers else {},
    )
