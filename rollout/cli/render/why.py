"""The story of a run: what happened, which evidence, what was undone, what to do next."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from rollout.cli.render.evidence import told
from rollout.cli.render.live import note
from rollout.cli.render.nexts import nexts
from rollout.cli.render.plan import change, doing, limit
from rollout.cli.render.run import (
    as_json,
    failed_gate,
    failed_query,
    looks_on,
    paragraph,
    position,
    undone,
    waits,
    where,
)
from rollout.cli.render.words import BAD, GOOD, WAIT, Cell, clock, columns, headline, length, lines, stamp
from rollout.controller.view import RunView
from rollout.decide.gates import show
from rollout.decide.outlook import outlook
from rollout.plan.program import Gate, Limits
from rollout.plan.run import GateState, Look, Note


def story(view: RunView, step: int | None = None) -> Text:
    """The whole story, or that of one step (counted from 1)."""
    state, revision = view.state, view.spec.revision
    head = Text.assemble(headline(state.phase), f"  {where(view)}  run {view.name}")
    if versions := change(revision.stable_images, revision.images):
        head.append(f"  {versions}")
    parts: list[Text | str] = [head]
    if state.failed and step in (None, state.step + 1):
        parts += paragraph("because", f"{state.failed.message} (at {position(view)})")
        parts += _evidence(view)
    elif waits(view) and step is None:
        parts += paragraph("because", state.message)
    if looks_on(view) and step in (None, state.step + 1):
        parts += _outlooks(view)
    if state.undone and step is None:
        parts += paragraph("done", undone(view))
    told = notes(view, step)
    parts.append(Text("story" if step is None else f"story of step {step}: {_action(view, step)}", "bold"))
    parts += [note(n) for n in told] or ["  nothing was recorded"]
    if step is not None and step <= len(state.step_times):
        parts.append(f"  the step took {length(state.step_times[step - 1])}")
    parts.append(Text("next", "bold"))
    parts += [f"  {line}" for line in nexts(view) if not line.startswith("rollout why")] or ["  nothing"]
    return lines(parts)


def notes(view: RunView, step: int | None) -> list[Note]:
    """The lines of the story, of one step where it is given: between its beginning and its end."""
    if step is None:
        return list(view.state.notes)
    times, begun = view.state.step_times, view.state.started
    first = begun + sum(times[: step - 1])
    last = begun + sum(times[:step]) if step <= len(times) else float("inf")
    if step - 1 > len(times):
        return []
    return [n for n in view.state.notes if first <= n.at <= last]


def _action(view: RunView, step: int) -> str:
    return " ".join(doing(view.spec.program, view.spec.program.steps[step - 1]).split())


def _outlooks(view: RunView) -> list[Text | str]:
    """How each gate of the step stands, what would change that, and how long it takes."""
    parts: list[Text | str] = []
    for gate in view.spec.program.steps[view.state.step].gates:
        state = view.state.gates.get(gate.name, GateState())
        last = state.looks[-1] if state.looks else None
        mark = {"pass": GOOD, "fail": BAD}.get(last.verdict, WAIT) if last else WAIT
        text = f"{last.verdict}, {last.text.partition('; ')[0].partition(', limit')[0]}" if last else "not looked at"
        parts.append(Text.assemble("  ", mark, " ", (gate.name, "bold"), f": {text}, limit {limit(gate)}"))
        parts += paragraph("", outlook(gate, state, view.now))
    return [Text("gates", "bold"), *parts] if parts else []


def _evidence(view: RunView) -> list[Text | str]:
    """Each remembered look of the gate that ended the run, and the query that anybody can repeat."""
    gate = failed_gate(view)
    if gate is None:
        return []
    state = view.state.gates[gate.name]
    rows = [_look(gate, x) for x in state.looks]
    parts: list[Text | str] = [
        f"  {'looks':<9}{gate.name}, limit {limit(gate)}; {_rule(gate)}",
        *columns(rows, indent=" " * 11),
        *told(gate, state),
    ]
    if query := failed_query(view):
        parts.append(f"  {'query':<9}{query}")
    return parts


def _rule(gate: Gate) -> str:
    if isinstance(gate, Limits):
        does = {"hold": "stop", "promote": "would not stop"}.get(gate.on_failure or "", "end")
        return f"{gate.failures} failed of {gate.over} looks {does} the run"
    return "the evidence of all looks together decides"


def _look(gate: Gate, look: Look) -> list[Cell]:
    mark = {"pass": GOOD, "fail": BAD}.get(look.verdict, WAIT)
    value = "" if look.value is None else show(gate, look.value)
    return [
        clock(look.at),
        Text.assemble(mark, f" {look.verdict}"),
        value,
        look.text if look.value is None else _aside(gate, look),
    ]


def _aside(gate: Gate, look: Look) -> str:
    """What the text of a judged look says besides value and limit: `(970 good of 1000)`."""
    if not isinstance(gate, Limits):
        return look.text.partition(": ")[2] or look.text.partition("; ")[2]
    return look.text[look.text.index(" (") + 1 :] if " (" in look.text else ""


def why_json(view: RunView, step: int | None = None) -> dict[str, Any]:
    """The same for machines."""
    body = as_json(view)
    gate = failed_gate(view)
    state = view.state.gates.get(gate.name, GateState()) if gate else GateState()
    body["notes"] = [
        {"at": stamp(n.at), "reason": n.reason, "message": n.message, "warning": n.warning} for n in notes(view, step)
    ]
    return {
        **{k: body[k] for k in ("namespace", "plan", "run", "phase", "step", "steps", "images", "failed", "undone")},
        "looks": [{"at": stamp(x.at), "verdict": x.verdict, "value": x.value, "text": x.text} for x in state.looks],
        "gates": [
            {"name": it["name"], "verdict": it["verdict"], "text": it["text"], "outlook": it["outlook"]}
            for it in body["gates"]
        ],
        "story": body["notes"],
        "next": body["next"],
    }
