"""What a plan will do, before it does it: the compiled program as a table and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from rich.text import Text

from rollout.cli.render.adopting import adopting, touched, unseen, way_back
from rollout.cli.render.words import Cell, columns, length, lines, percent
from rollout.decide.figures import points, slowness, what
from rollout.decide.gates import gate_fails
from rollout.plan.called import JobCall
from rollout.plan.kinds import Ref
from rollout.plan.program import (
    Approve,
    Call,
    Conclude,
    ConditionGate,
    CountGate,
    Gate,
    Instruction,
    Prepare,
    Program,
    QueryGate,
    ReadyGate,
    Release,
    Route,
    Step,
    weight_of,
)
from rollout.plan.sequential import CompareGate, GateFails, SloGate, TrafficGate

_WIDTH = 80
_ROOM = 44
"""Columns that a condition takes in tables; `why` and JSON have all of it."""
_FAILURES = {"rollback": "roll back", "hold": "hold"}


@dataclass(frozen=True, slots=True)
class Preview:
    """A program with what is known about it. Images are empty without a cluster."""

    ref: Ref
    program: Program
    stable: Mapping[str, str] = field(default_factory=dict)
    candidate: Mapping[str, str] = field(default_factory=dict)
    unseen: str = ""
    """Why the workloads of an adoption could not be looked at."""

    @property
    def plan(self) -> str:
        """The plan's name."""
        return self.ref.name


def table(preview: Preview) -> Text:
    """The plan as people read it."""
    program = preview.program
    rows: list[list[Cell]] = [[" #", "ACTION", "HOLD", "ON FAILURE", "GATES (all must pass)"]]
    for number, step in enumerate(program.steps, 1):
        rows.append([f"{number:2}", doing(program, step), hold(step), failure(program, step), " \n".join(gates(step))])
    least, most = bounds(program)
    return lines(
        [
            Text(title(preview), "bold"),
            *_wrapped(rows),
            *(_paragraph("unknown", unseen(preview.unseen)) if preview.unseen else ()),
            f"duration  {length(least)} to {length(most)}",
            *_paragraph("writes", ", ".join(writes(program))),
            *_paragraph("rollback", rollback(program)),
        ]
    )


def title(preview: Preview) -> str:
    """Plan, strategy, router, and the versions where they are known."""
    program = preview.program
    where = f"{program.namespace}/" if program.namespace else ""
    if program.adoption is not None:
        revision = f", revision {program.adoption.revision}" if program.adoption.revision else ""
        return f"PLAN {where}{preview.plan}   {program.strategy} by {program.adoption.mesh}{revision}"
    versions = f"   {change(preview.stable, preview.candidate)}" if preview.candidate else ""
    by = f"{program.strategy} by {program.settings.router}, service {program.split.service}"
    return f"PLAN {where}{preview.plan}   {by}{versions}"


def change(stable: Mapping[str, str], candidate: Mapping[str, str]) -> str:
    """`image 1.4.2 → 1.5.0`; every container whose image differs, by name when there are several containers."""
    changed = [name for name, image in candidate.items() if image != stable.get(name)]
    if not changed:
        return "same image, other template" if candidate else ""
    words = [f"{tag(stable.get(name, 'none'))} → {tag(candidate[name])}" for name in changed]
    if len(candidate) == 1:
        return f"image {words[0]}"
    return ", ".join(f"{name} {word}" for name, word in zip(changed, words, strict=True))


def action(step: Step) -> str:
    """What a step does, in two or three words."""
    approve = next((i for i in step.instructions if isinstance(i, Approve)), None)
    if approve is not None:
        return f"approval by {approve.count}" if approve.count > 1 else "approval"
    called = next((i.hook for i in step.instructions if isinstance(i, Call)), None)
    if called is not None:
        return f"hook {called}"
    weight = weight_of(step)
    if weight is not None:
        return f"weight {percent(weight):>5}"
    return next((adopting(i) or _single(i) for i in step.instructions), step.name)


def doing(program: Program, step: Step) -> str:
    """`action`, by the program that it is part of: what a canary cleans up at its end, an adoption keeps."""
    if program.adoption is not None and any(isinstance(i, Conclude) for i in step.instructions):
        return "keep what was reached"
    return action(step)


def failure(program: Program, step: Step) -> str:
    """What happens when a step fails: `roll back`, `hold`, `undo`, `undo from 3`; after the latter two it is held."""
    if step.on_failure != "return":
        return _FAILURES[step.on_failure]
    first = next((n for n, it in enumerate(program.steps, 1) if it.name == step.back_to), 0)
    return f"undo from {first}" if first and step.back_to != step.name else "undo"


def _single(instruction: Instruction) -> str:
    match instruction:
        case Release(mode="shift"):
            return "promote"
        case Release():
            return "promote (native)"
        case Conclude(keep_route=True):
            return "keep the route"
        case Conclude():
            return "clean up"
        case Prepare():
            return f"prepare {percent(instruction.percent)}"
        case _:
            return instruction.kind


def hold(step: Step) -> str:
    """How long a step stays; `≤` where a person, or proof, may end it earlier."""
    approve = next((i for i in step.instructions if isinstance(i, Approve)), None)
    if approve is not None:
        return f"≤ {length(approve.within)}"
    return f"{'≤ ' if step.early else ''}{length(step.hold)}" if step.hold else "-"


def gates(step: Step) -> list[str]:
    """Every gate with its limit, and the hooks that are called meanwhile."""
    judged = [f"{g.name} {limit(g)}{_besides(g)}" for g in step.gates]
    return [*judged, *(f"hook {name}" for name in step.during)] or ["-"]


_OWN: Final[Mapping[GateFails, str]] = {
    None: "",
    "rollback": " (else roll back)",
    "hold": " (else hold)",
    "promote": " (else go on)",
}


def _besides(gate: Gate) -> str:
    """What a gate does otherwise than its step."""
    return " (observe only)" if gate.observe_only else _OWN[gate_fails(gate)]


def limit(gate: Gate) -> str:
    """`≥ 99 %`, `≤ 500`, or both; `≤ 1 point worse`, `≤ 0.5 % failed`, `± 25 %`."""
    match gate:
        case CompareGate():
            slow = f" slower than {slowness(gate.slower_than)}" if gate.slower_than is not None else ""
            return f"≤ {points(gate.tolerance)} worse{slow}"
        case SloGate():
            return f"≤ {percent(100 * gate.allowed)} {what(gate.metric, gate.slower_than)}"
        case TrafficGate():
            return f"as the weight ± {percent(100 * gate.tolerance)}"
        case ConditionGate():
            return textwrap.shorten(gate.condition, _ROOM, placeholder=" …")
        case CountGate() | QueryGate() | ReadyGate():
            bounds_ = [("≥", gate.min), ("≤", gate.max)]
            return " and ".join(f"{sign} {amount(gate, value)}" for sign, value in bounds_ if value is not None)
        case _:
            assert_never(gate)


def amount(gate: CountGate | QueryGate | ReadyGate, value: float) -> str:
    """A value in the gate's unit."""
    if isinstance(gate, CountGate):
        return percent(100 * value)
    if isinstance(gate, QueryGate) and gate.stable_query is not None:
        return f"{value:.4g} × stable"
    return f"{value:.4g}{' ' if gate.unit else ''}{gate.unit}"


def bounds(program: Program) -> tuple[float, float]:
    """The shortest and the longest time a promotion can take, in seconds.

    Shortest: every hold (of steps that proof may end, the warm-up), every settling of routes, one drain, approvals at
    once.  Longest: every deadline used up.
    """
    settling = sum(isinstance(i, Prepare | Route) for step in program.steps for i in step.instructions)
    least = (
        sum(step.warmup if step.early else step.hold for step in program.steps)
        + settling * program.settings.settle
        + program.settings.drain
    )
    return least, max(least, sum(step.deadline for step in program.steps))


def writes(program: Program) -> list[str]:
    """Every object that a run writes or makes."""
    if program.adoption is not None:
        return touched(program)
    backends = program.split
    jobs = [f"the Job of hook {hook.name}" for hook in program.hooks if isinstance(hook.how, JobCall)]
    services = [f"VirtualService/{name}" for name in backends.virtual_services]
    routes = services or [f"the routes of Service/{backends.service}"]
    if not program.workload:
        return [*routes, *jobs]
    own = [f"Deployment/{program.workload} (image, pause)", f"Deployment/{backends.candidate.workload} (for the run)"]
    sides = "subsets" if program.settings.router == "istio" else "two Services, one for each side's pods"
    return [*routes, *own, f"{sides} (for the run)", *jobs]


def rollback(program: Program) -> str:
    """What going back needs, and from where there is only forward."""
    if program.adoption is not None:
        return way_back()
    text = f"takes the weight home, drains {length(program.settings.drain)}"
    text += ", deletes the candidate; " if program.workload else "; "
    text += "it needs no metrics, no person and starts no pod"
    commit = next((n for n, s in enumerate(program.steps, 1) for i in s.instructions if isinstance(i, Release)), None)
    return f"{text}; possible until step {commit}" if commit else text


def as_json(preview: Preview) -> dict[str, Any]:
    """The same for machines: times in seconds, weights in percent."""
    program = preview.program
    least, most = bounds(program)
    return {
        "kind": preview.ref.kind.name,
        "plan": preview.plan,
        "namespace": program.namespace,
        "strategy": program.strategy,
        "router": program.settings.router if program.backends else None,
        "service": program.backends.service if program.backends else None,
        "mesh": program.adoption.mesh if program.adoption else None,
        "workload": program.workload,
        "images": {"stable": dict(preview.stable), "candidate": dict(preview.candidate)},
        "steps": [_step_json(program, number, step) for number, step in enumerate(program.steps, 1)],
        "duration": {"atLeast": least, "atMost": most},
        "writes": writes(program),
        "rollback": rollback(program),
        **({"hooks": [{"name": it.name, "when": it.when} for it in program.hooks]} if program.hooks else {}),
        "unknown": preview.unseen or None,
    }


def _step_json(program: Program, number: int, step: Step) -> dict[str, Any]:
    return {
        "step": number,
        "name": step.name,
        "action": " ".join(doing(program, step).split()),
        "weight": weight_of(step),
        "hold": step.hold,
        **({"early": True} if step.early else {}),
        "deadline": step.deadline,
        "onFailure": step.on_failure,
        "gates": [{"name": g.name, **terms(g), "every": g.every, **_own_json(g)} for g in step.gates],
        **({"hooks": list(step.during)} if step.during else {}),
    }


def _own_json(gate: Gate) -> dict[str, Any]:
    own = gate_fails(gate)
    relative = {"relativeTo": "stable"} if isinstance(gate, QueryGate) and gate.stable_query is not None else {}
    return {**relative, **({} if own is None else {"onFailure": own})}


def terms(gate: Gate) -> dict[str, Any]:
    """What a gate is judged by, for machines: shares 0..1."""
    match gate:
        case CompareGate():
            return {"type": "compare", "metric": gate.metric, "tolerance": gate.tolerance, "alpha": gate.alpha}
        case SloGate():
            return {"type": "slo", "metric": gate.metric, "allowed": gate.allowed, "alpha": gate.alpha}
        case TrafficGate():
            return {"type": "traffic", "tolerance": gate.tolerance}
        case ConditionGate():
            return {"type": "condition", "condition": gate.condition, "failures": gate.failures, "over": gate.over}
        case CountGate() | QueryGate() | ReadyGate():
            return {"min": gate.min, "max": gate.max, "failures": gate.failures, "over": gate.over}
        case _:
            assert_never(gate)


def _wrapped(rows: Iterable[list[Cell]]) -> list[Text]:
    """The table; gates that do not fit side by side continue below."""
    table = list(rows)
    lefts = columns([[*row[:-1], ""] for row in table])
    room = _WIDTH - (max(len(line.plain) for line in lefts) + 2)
    flat: list[list[Cell]] = []
    for row in table:
        first, *more = _fill(str(row[-1]).split(" \n"), room)
        flat.append([*row[:-1], first])
        flat += [["", "", "", "", line] for line in more]
    return columns(flat)


def _fill(parts: list[str], room: int) -> list[str]:
    filled = [parts[0]]
    for part in parts[1:]:
        together = f"{filled[-1]}   {part}"
        filled = [*filled[:-1], together] if len(together) <= room else [*filled, part]
    return filled


def _paragraph(word: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{word:<10}", subsequent_indent=" " * 10, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def tag(image: str) -> str:
    """What tells two images apart at a glance: tag or short digest."""
    if "@sha256:" in image:
        return image.partition("@sha256:")[2][:12]
    last = image.rsplit("/", 1)[-1]
    return last.partition(":")[2] or last
