"""replay: all verdicts of a run again, from the answers that it keeps; neither metrics nor luck have a part in it."""

from __future__ import annotations

import asyncio
from typing import Any

from rich.text import Text

from rollout.cli.exit import Code
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import run as render_run
from rollout.cli.render.words import BAD, GOOD, WAIT, Cell, clock, columns, lines, stamp
from rollout.cli.session import connected
from rollout.controller.view import RunView
from rollout.decide.matrix import Replayed, differences, whole
from rollout.decide.matrix import replay as replayed
from rollout.errors import NotFound


def replay(common: Common, name: str) -> int:
    """Judge again and print; `name` is a run or a plan. 1 when it comes to something else than the run has."""
    return asyncio.run(_replay(common, name))


async def _replay(common: Common, name: str) -> int:
    async with connected(common) as session:
        view = await session.run(name)
    if not view.state.matrix:
        raise NotFound(f"run {view.name} keeps no answers", hint=f"rollout why {view.name} -n {view.namespace}")
    looks, states = replayed(view.spec.program, view.state.matrix)
    wrong = list(differences(states, view.state.gates))
    Printer(common).emit(lambda: _json(view, looks, wrong), lambda: _table(view, looks, wrong), [render_run.name(view)])
    return Code.ERROR if wrong else Code.GOOD


def _table(view: RunView, looks: tuple[Replayed, ...], wrong: list[str]) -> Text:
    rows = [_row(one) for one in looks]
    head = Text.assemble(("REPLAYED", "bold"), f" run {view.name}   {len(looks)} answers")
    if not whole(view.state.matrix):
        head.append(f" since {clock(looks[0].row.at)}; what was before is not kept")
    mark = (BAD, f" differs from the record: {', '.join(wrong)}") if wrong else (GOOD, " the same as the record")
    return lines([head, *columns(rows, indent="  "), Text.assemble(*mark)])


def _row(one: Replayed) -> list[Cell]:
    row = one.row
    where = f"step {row.step + 1}, {row.weight:g} %"
    if one.look is None:
        return [clock(row.at), row.gate, where, "", "counted, not judged"]
    mark = {"pass": GOOD, "fail": BAD}.get(one.look.verdict, WAIT)
    return [clock(row.at), row.gate, where, Text.assemble(mark, f" {one.look.verdict}"), one.look.text]


def _json(view: RunView, looks: tuple[Replayed, ...], wrong: list[str]) -> dict[str, Any]:
    return {
        "namespace": view.namespace,
        "run": view.name,
        "same": not wrong,
        "differences": wrong,
        "complete": whole(view.state.matrix),
        "looks": [
            {
                "at": stamp(one.row.at),
                "step": one.row.step + 1,
                "weight": one.row.weight,
                "gate": one.row.gate,
                "verdict": one.look.verdict if one.look else None,
                "value": one.look.value if one.look else None,
                "text": one.look.text if one.look else "",
            }
            for one in looks
        ],
    }
