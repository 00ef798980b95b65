"""How a run stands: one answer for people and the same facts for machines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from rollout.cli.render.evidence import evidence_json
from rollout.cli.render.nexts import nexts, went_back
from rollout.cli.render.plan import change, doing, limit, terms
from rollout.cli.render.words import BAD, clock, columns, headline, length, lines, percent, sign, stamp
from rollout.controller.view import RunView, StoredRun, UnreadRun
from rollout.decide.gates import failure
from rollout.decide.outlook import outlook
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.journey import stage_of
from rollout.plan.kinds import MESH_ADOPTION_PLAN
from rollout.plan.program import ConditionGate, Gate, Limits, weight_of
from rollout.plan.run import GateState, Phase
from rollout.plan.sequential import Sequential

_WIDTH = 80
_INDENT = 11


def status(view: RunView, *, driven: bool | None = None) -> Text:
    """A headline, then because, query, done and next. `driven`: whether an engine is at work, if that is known."""
    parts: list[Text | str] = [_headline(view)]
    because = view.state.failed.message if view.state.failed else view.state.message
    if because:
        parts += paragraph(_label(view), because)
    if query := failed_query(view):
        parts.append(Text(f"  {'query':<9}{query}"))
    if not view.state.failed and not view.state.phase.ended:
        parts += [Text(f"  {'gates' if i == 0 else '':<9}{line}") for i, line in enumerate(_gates(view))]
    if view.state.undone:
        parts += paragraph("done", undone(view))
    parts += [Text(f"  {'next' if i == 0 else '':<9}{line}") for i, line in enumerate(nexts(view, driven=driven))]
    return lines(parts)


def _gates(view: RunView) -> list[str]:
    """The last look of each gate of the step: `success: pass, 99.90 % (999 good of 1000), limit ≥ 99 %`."""
    found = []
    for gate in view.spec.program.steps[view.state.step].gates:
        seen = view.state.gates.get(gate.name, GateState()).looks
        if seen:
            found.append(
                f"{gate.name}: {seen[-1].verdict}, {seen[-1].text.partition(', limit')[0]}, limit {limit(gate)}"
            )
    return found


def _label(view: RunView) -> str:
    if view.state.failed or waits(view):
        return "because"
    return "result" if view.state.phase.ended else "now"


def _headline(view: RunView) -> Text:
    state = view.state
    when = state.ended or (state.notes[-1].at if state.notes else view.now)
    text = Text.assemble(headline(state.phase), f"  {where(view)}  run {view.name}")
    if state.phase is not Phase.SUCCEEDED:
        text.append(f"  at {position(view)}")
    text.append(f"  {clock(when)}")
    return text


def where(view: RunView) -> str:
    """`shop/checkout`."""
    return f"{view.namespace}/{view.spec.plan}"


def waits(view: RunView) -> bool:
    """Whether something is missing that the run waits for."""
    return view.state.phase in (Phase.HOLDING, Phase.PAUSED, Phase.HELD, Phase.AWAITING_APPROVAL)


def looks_on(view: RunView) -> bool:
    """Whether the gates of the step are looked at."""
    state = view.state
    return not (state.failed or state.phase.ended or state.phase is Phase.PAUSED or state.held_since is None)


def position(view: RunView) -> str:
    """`step 3/6 (50 %)`: the weight of the step, also after it was taken home; of an adoption, what the step does."""
    program = view.spec.program
    what = percent(weight_at(view)) if program.adoption is None else doing(program, program.steps[view.state.step])
    return f"step {view.state.step + 1}/{len(program.steps)} ({what})"


def weight_at(view: RunView) -> float:
    """Percent that the run's step stands for: its own weight, or the last one before it."""
    weights = [weight_of(step) for step in view.spec.program.steps[: view.state.step + 1]]
    return next((w for w in reversed(weights) if w is not None), 0.0)


def share(view: RunView) -> float:
    """Percent of the requests that the new version has, as far as it was seen; all of them once it is released."""
    state = view.state
    if state.phase is Phase.SUCCEEDED or (state.committed and not state.phase.ended):
        return 100.0
    if state.phase.ended:
        return 0.0
    if state.phase is Phase.ROLLING_BACK or state.routed is None:
        return state.weight
    return state.routed


def failed_gate(view: RunView) -> Gate | None:
    """The gate that ended the run, if one did."""
    if view.state.failed is None or view.state.failed.reason != Reason.GATE_FAILED:
        return None
    gates = view.spec.program.steps[view.state.step].gates
    bad = failure(gates, view.state.gates)
    return next((g for g in gates if bad is not None and g.name == bad.gate), None)


def failed_query(view: RunView) -> str:
    """The query of the gate that ended the run, on one line."""
    gate = failed_gate(view)
    return " ".join(view.state.gates[gate.name].query.split()) if gate else ""


def undone(view: RunView) -> str:
    """What was taken back, and how long that took."""
    state = view.state
    text = "taken back: " + "; ".join(state.undone)
    if state.failed and state.ended:
        text += f"; all in {length(state.ended - state.failed.at)}"
    if state.phase in (Phase.ROLLED_BACK, Phase.ABORTED) and view.spec.program.workload:
        text += _asks(view)
    return text


def _asks(view: RunView) -> str:
    """What the Deployment asks for, after the run has gone home."""
    reason = view.state.failed.reason if view.state.failed else ""
    asked = ", ".join(sorted(set(view.spec.revision.images.values())))
    name = f"; Deployment/{view.spec.program.workload}"
    if reason in (Reason.TARGET_GONE, Reason.BYPASSED):
        return ""
    if went_back(view):
        return f"{name} does not ask for {asked} any more"
    return f"{name} still asks for {asked} and {'stays paused' if reason == Reason.PLAN_DELETED else 'is held'}"


def paragraph(label: str, text: str) -> list[str]:
    """A labelled text, wrapped below itself."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {label:<9}",
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(plans: Sequence[tuple[Json, StoredRun | None]], *, wide: bool, namespaces: bool) -> Text:
    """All plans with their newest runs, one line each."""
    head = [*(["NAMESPACE"] if namespaces else []), "PLAN", "STRATEGY", "PHASE", "STEP", "WEIGHT", "AGE"]
    rows: list[list[str | Text]] = [[*head, *(["RUN", "REASON", "IMAGE"] if wide else [])]]
    for plan, view in plans:
        meta = plan["metadata"]
        row: list[str | Text] = [*([meta.get("namespace", "")] if namespaces else []), meta["name"]]
        adoption = plan["kind"] == MESH_ADOPTION_PLAN.name
        row.append(plan["spec"].get("strategy", "mesh-adoption" if adoption else "canary"))
        if view is None:
            row += ["· Idle", "-", "-", "-", *(["-", "-", "-"] if wide else [])]
        elif isinstance(view, UnreadRun):
            row += [Text.assemble(BAD, " Unreadable"), view.status.get("step") or "-", "-", "-"]
            row += [view.name, "Unreadable", "-"] if wide else []
        else:
            state = view.state
            row += [Text.assemble(sign(state.phase), f" {state.phase}")]
            row += [
                f"{state.step + 1}/{len(view.spec.program.steps)}",
                "-" if adoption else percent(share(view)),
                _age(view),
            ]
            versions = change(view.spec.revision.stable_images, view.spec.revision.images).removeprefix("image ")
            row += [view.name, state.reason or "-", versions or "-"] if wide else []
        rows.append(row)
    return lines(columns(rows))


def _age(view: RunView) -> str:
    return length(max(0.0, view.now - view.state.started)) if view.state.started else "-"


def as_json(view: RunView) -> dict[str, Any]:
    """The run for machines: weights in percent, times in RFC 3339 and seconds, shares 0..1."""
    state, spec = view.state, view.spec
    gate = failed_gate(view)
    step = spec.program.steps[state.step]
    return {
        "namespace": view.namespace,
        "kind": spec.plan_kind,
        "plan": spec.plan,
        "run": view.name,
        "uid": view.uid,
        "attempt": spec.attempt,
        "revision": spec.revision.digest,
        "phase": str(state.phase),
        "reason": state.reason,
        "message": state.message,
        "step": state.step + 1,
        "steps": len(spec.program.steps),
        "stepName": step.name,
        "stepSeconds": list(state.step_times),
        "weight": {"asked": state.weight, "inPlace": share(view)} if spec.program.adoption is None else None,
        "stage": stage_of(spec.program.steps, state.step),
        "images": {"stable": dict(spec.revision.stable_images), "candidate": dict(spec.revision.images)},
        "started": stamp(state.started or None),
        "ended": stamp(state.ended),
        "startedBy": spec.started_by,
        "gates": [_gate_json(view, g, state.gates.get(g.name, GateState())) for g in step.gates],
        "failed": state.failed
        and {
            "at": stamp(state.failed.at),
            "reason": state.failed.reason,
            "message": state.failed.message,
            "gate": gate.name if gate else None,
            "query": failed_query(view) or None,
        },
        "undone": list(state.undone),
        "notes": [
            {"at": stamp(n.at), "reason": n.reason, "message": n.message, "warning": n.warning} for n in state.notes
        ],
        "next": nexts(view),
    }


def _gate_json(view: RunView, gate: Gate, state: GateState) -> dict[str, Any]:
    last = state.looks[-1] if state.looks else None
    return {
        "name": gate.name,
        **_terms(gate),
        "value": last.value if last else None,
        "verdict": last.verdict if last else None,
        "text": last.text if last else "",
        "outlook": outlook(gate, state, view.now) if looks_on(view) else "",
        "requests": state.requests,
        "query": state.query,
        "looks": [{"at": stamp(x.at), "verdict": x.verdict, "value": x.value, "text": x.text} for x in state.looks],
        **({"evidence": evidence_json(gate, state)} if isinstance(gate, Sequential) else {}),
    }


def _terms(gate: Gate) -> dict[str, Any]:
    return (
        {"min": gate.min, "max": gate.max}
        if isinstance(gate, Limits) and not isinstance(gate, ConditionGate)
        else terms(gate)
    )


def name(view: StoredRun) -> str:
    """`planrun.meshrollout.dev/checkout-7k2`, as kubectl prints names."""
    return f"planrun.meshrollout.dev/{view.name}"
