"""gate run: the gates of a plan, asked of what serves now, without a rollout."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common, duration
from rollout.cli.out import Printer
from rollout.cli.plan import compiled
from rollout.cli.render.evidence import evidence_json, told
from rollout.cli.render.plan import limit
from rollout.cli.render.words import BAD, GOOD, WAIT, Cell, columns, length, lines, stamp
from rollout.cli.session import connected
from rollout.decide.gates import failure, show
from rollout.errors import InvalidInput
from rollout.observe.trial import askable, tried
from rollout.plan.program import Gate, Limits, Program
from rollout.plan.run import GateState

LOOKS = 3
"""So many intervals are looked at, when nobody says how long: evidence asks for two looks with an excess."""


def run(
    common: Common, source: str, *, window: str | None, weight: float, candidate: str | None, stable: str | None
) -> int:
    """Ask, judge, print. 0 when all pass, 3 when one fails, 4 when one tells too little."""
    seconds = duration(window)
    if seconds is not None and seconds <= 0:
        raise UsageError(f"--for {window} is no time", hint="write it as 1m or 5m")
    return asyncio.run(_run(common, source, seconds, weight, candidate, stable))


async def _run(
    common: Common, source: str, seconds: float | None, weight: float, candidate: str | None, stable: str | None
) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        given = await session.given(source, common.namespace)
        _ = given.canary
        found = await compiled(session, given)
        program = _between(found.program, candidate, stable)
        gates = askable(program)
        if not gates:
            raise InvalidInput("has no gate that metrics answer", where=str(found.ref), hint="add spec.analysis.gates")
        until = seconds if seconds is not None else LOOKS * max(gate.every for gate in gates)
        ours, theirs = program.split.candidate.workload, program.split.stable.workload
        printer.say(f"looking for {length(until)} at {ours or 'the candidate'} beside {theirs or 'stable'}")
        states = await tried(session.world, program, found.ref.namespace, gates, length=until, weight=weight)
    printer.emit(lambda: _json(gates, states), lambda: _table(gates, states), [gate.name for gate in gates])
    return _code(gates, states)


def _between(program: Program, candidate: str | None, stable: str | None) -> Program:
    """The program, between workloads of other names where they are given."""
    split = program.split
    ours = replace(split.candidate, workload=candidate) if candidate else split.candidate
    theirs = replace(split.stable, workload=stable) if stable else split.stable
    return replace(program, backends=replace(split, candidate=ours, stable=theirs))


def _code(gates: Sequence[Gate], states: Mapping[str, GateState]) -> Code:
    deciding = [gate for gate in gates if not gate.observe_only]
    if failure(deciding, states) is not None:
        return Code.ROLLED_BACK
    return Code.GOOD if all(_verdict(states[gate.name]) == "pass" for gate in deciding) else Code.HELD


def _verdict(state: GateState) -> str:
    return state.looks[-1].verdict if state.looks else "no-data"


def _table(gates: Sequence[Gate], states: Mapping[str, GateState]) -> Text:
    rows: list[Sequence[Cell]] = [["GATE", "VERDICT", "VALUE", "LIMIT", ""]]
    parts: list[Text | str] = []
    for gate in gates:
        state = states[gate.name]
        last = state.looks[-1] if state.looks else None
        mark = {"pass": GOOD, "fail": BAD}.get(_verdict(state), WAIT)
        value = show(gate, last.value) if last is not None and last.value is not None else "-"
        rows.append([gate.name, Text.assemble(mark, f" {_verdict(state)}"), value, limit(gate), _why(last)])
        if not isinstance(gate, Limits):
            parts += [Text(gate.name, "bold"), *lines_] if (lines_ := told(gate, state)) else []
    return lines([*columns(rows), *parts])


def _why(last: Any) -> str:
    return "not looked at twice: use a longer --for" if last is None else last.text


def _json(gates: Sequence[Gate], states: Mapping[str, GateState]) -> dict[str, Any]:
    return {"gates": [_gate(gate, states[gate.name]) for gate in gates]}


def _gate(gate: Gate, state: GateState) -> dict[str, Any]:
    evidence = None if isinstance(gate, Limits) else evidence_json(gate, state)
    return {
        "gate": gate.name,
        "verdict": _verdict(state),
        "observeOnly": gate.observe_only,
        "query": state.query,
        "looks": [{"at": stamp(x.at), "verdict": x.verdict, "value": x.value, "text": x.text} for x in state.looks],
        **({"evidence": evidence} if evidence is not None else {}),
    }
