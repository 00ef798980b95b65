"""Plans as `get` shows them: one line each, in the columns that kubectl prints, and the same for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from rollout.cli.render.live import verdict
from rollout.cli.render.plan import action
from rollout.cli.render.run import failed_gate
from rollout.cli.render.words import BAD, NEXT, Cell, columns, length, percent, sign
from rollout.controller.view import RunView
from rollout.plan.base import Json, epoch
from rollout.plan.kinds import CANARY_PLAN, MESH_ADOPTION_PLAN, Ref, ref_of
from rollout.plan.program import Gate
from rollout.plan.run import GateState, Phase

_PHASES = frozenset(map(str, Phase))
"""A plan has these, and two that no run has: `Idle` and `Invalid`."""
_BETTER = ("pass", "inconclusive", "no-data", "unknown", "fail")


@dataclass(frozen=True, slots=True)
class Row:
    """One plan at one moment."""

    plan: Json
    now: float
    view: RunView | None = None
    """The newest run; only where it was asked for."""
    driven: bool | None = None
    """Whether somebody drives the run that is under way; None when there is none."""
    served: bool = False
    """Whether a controller looks after the namespace."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        meta = self.plan["metadata"]
        return meta.get("namespace", ""), meta["name"]

    @property
    def ref(self) -> Ref:
        """The plan's name."""
        return ref_of(self.plan)

    @property
    def strategy(self) -> str:
        """What compiles it."""
        usual = {CANARY_PLAN.name: "canary", MESH_ADOPTION_PLAN.name: "mesh-adoption"}
        return str(self.plan["spec"].get("strategy", usual.get(self.plan["kind"], "-")))

    @property
    def status(self) -> Json:
        """What we last wrote about it; empty for a plan that nobody has looked at."""
        return self.plan.get("status") or {}

    @property
    def phase(self) -> str:
        """Of the newest run; `Idle` without one."""
        return self.status.get("phase") or "Idle"

    @property
    def stale(self) -> bool:
        """Whether the status is about an older spec, or was never written by the controller that should."""
        seen = self.status.get("observedGeneration")
        return self.served if seen is None else seen < self.plan["metadata"].get("generation", 1)

    @property
    def ready(self) -> str:
        """The condition that kubectl wait waits for: `True`, `False` or `Unknown`."""
        found = (c["status"] for c in self.status.get("conditions", []) if c["type"] == "Ready")
        return next(found, "Unknown")


def head(*, wide: bool, namespaces: bool) -> list[Cell]:
    """The names of the columns."""
    first = [*(["NAMESPACE"] if namespaces else []), "NAME"]
    return [*first, "STRATEGY", "PHASE", "STEP", "WEIGHT", "READY", "AGE", *(["REASON", "GATE", "NEXT", "RUN"] * wide)]


def cells(row: Row, *, wide: bool, namespaces: bool) -> list[Cell]:
    """One line."""
    namespace, name = row.key
    status = row.status
    weight = status.get("weight")
    line: list[Cell] = [*([namespace] if namespaces else []), name, row.strategy]
    line += [_phase(row), status.get("step") or "-", "-" if weight is None else percent(weight), row.ready, _age(row)]
    if wide:
        line += [status.get("reason") or "-", _gate_cell(row.view), following(row), status.get("run") or "-"]
    return line


def table(rows: Sequence[Row], *, wide: bool, namespaces: bool) -> list[Text]:
    """Head and rows, as lines."""
    lines = [cells(row, wide=wide, namespaces=namespaces) for row in rows]
    return columns([head(wide=wide, namespaces=namespaces), *lines])


def facts(row: Row) -> tuple[str, ...]:
    """What makes a new line worth printing: everything but the age."""
    shown = [cell.plain if isinstance(cell, Text) else cell for cell in cells(row, wide=True, namespaces=True)]
    return (*shown[:7], *shown[8:], str(row.stale), str(row.driven))


def remarks(rows: Sequence[Row]) -> list[str]:
    """What the table cannot say: whose status is old, whose run nobody drives; each with the command that helps."""
    found = []
    for row in rows:
        namespace, name = row.key
        at = f"{name} -n {namespace}"
        if row.driven is False:
            found.append(f"{namespace}/{name}: nobody drives its run; next: rollout start {at}")
        if row.stale:
            seen, is_ = row.status.get("observedGeneration", "none"), row.plan["metadata"].get("generation", 1)
            next_ = f"rollout get {at} -w" if row.served else f"rollout start {at}, or install a controller"
            found.append(f"{namespace}/{name}: its status is about generation {seen} of {is_}; next: {next_}")
    return found


def as_json(row: Row) -> dict[str, Any]:
    """For machines: percents, and times in RFC 3339."""
    meta, status = row.plan["metadata"], row.status
    gate = gate_of(row.view)
    return {
        "namespace": meta.get("namespace", ""),
        "plan": meta["name"],
        "kind": row.plan["kind"],
        "strategy": row.strategy,
        "phase": row.phase,
        "step": status.get("step"),
        "weight": status.get("weight"),
        "ready": row.ready,
        "reason": status.get("reason") or "",
        "message": status.get("message") or "",
        "run": status.get("run"),
        "gate": None if gate is None or row.view is None else {"name": gate.name, "verdict": _last(gate, row.view)},
        "next": following(row),
        "created": meta.get("creationTimestamp"),
        "generation": meta.get("generation", 1),
        "observedGeneration": status.get("observedGeneration"),
        "stale": row.stale,
        "driven": row.driven,
        "controller": row.served,
    }


def following(row: Row) -> str:
    """What comes next: the action of the next step, or the verb that a person is waited for with; `-` for nothing."""
    if row.driven is False:
        return "start"
    match row.phase:
        case Phase.AWAITING_APPROVAL:
            return "promote"
        case Phase.PAUSED:
            return "resume"
        case Phase.HELD:
            return "retry"
        case Phase.ROLLED_BACK | Phase.ABORTED:
            return "fix, or retry"
        case Phase.PROGRESSING if row.view and row.view.state.step + 1 < len(row.view.spec.program.steps):
            return " ".join(action(row.view.spec.program.steps[row.view.state.step + 1]).split())
        case _:
            return "-"


def gate_of(view: RunView | None) -> Gate | None:
    """The gate that matters most: the one that ended the run, else the one whose last look was the worst."""
    if view is None:
        return None
    if failed := failed_gate(view):
        return failed
    gates = [] if view.state.phase.ended else view.spec.program.steps[view.state.step].gates
    return max(gates, key=lambda gate: _BETTER.index(_last(gate, view) or "pass"), default=None)


def _last(gate: Gate, view: RunView) -> str | None:
    looks = view.state.gates.get(gate.name, GateState()).looks
    return looks[-1].verdict if looks else None


def _gate_cell(view: RunView | None) -> Cell:
    gate = gate_of(view)
    if gate is None or view is None:
        return "-"
    said = verdict(gate, view.state.gates.get(gate.name, GateState()))
    return Text.assemble(f"{gate.name} ", said)


def _phase(row: Row) -> Text:
    mark = sign(Phase(row.phase)) if row.phase in _PHASES else NEXT if row.phase == "Idle" else BAD
    return Text.assemble(mark, f" {row.phase}", " (old)" if row.stale else "")


def _age(row: Row) -> str:
    created = row.plan["metadata"].get("creationTimestamp")
    return length(max(0.0, row.now - epoch(created))) if created else "-"
