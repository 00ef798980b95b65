"""The live view: where a run is, how its gates look, what happened last; redrawn while it goes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from rollout.cli.render.adopting import headway
from rollout.cli.render.plan import doing, limit, tag
from rollout.cli.render.run import position, share, where
from rollout.cli.render.words import (
    BAD,
    BUSY,
    GOOD,
    NEXT,
    WAIT,
    WARN,
    Cell,
    bar,
    clock,
    columns,
    headline,
    length,
    lines,
    percent,
    sign,
    trend,
)
from rollout.controller.view import RunView
from rollout.decide.gates import show
from rollout.decide.turn import hold_spent, spent
from rollout.plan.program import Approve, Gate, Limits, Step
from rollout.plan.run import GateState, Note, Phase

_BAR = 30
_STEPS = 9
"""So many steps are shown at most."""
_NOTES = 4


def screen(view: RunView, hint: str, width: int = 80) -> Text:
    """The whole view."""
    return lines(
        [
            _top(view),
            *_sides(view),
            *_steps(view),
            *_gates(view),
            *_message(view, width),
            *(note(n, width) for n in view.state.notes[-_NOTES:]),
            *([] if view.state.phase.ended else [Text(f"  {hint}", "dim")]),
        ]
    )


def note(it: Note, width: int = 0) -> Text:
    """One line of the story; cut to `width` where it is given."""
    line = Text.assemble(
        f"  {clock(it.at)} ", (it.reason, "yellow" if it.warning else ""), f" {' '.join(it.message.split())}"
    )
    if width:
        line.truncate(width, overflow="ellipsis")
    return line


def _top(view: RunView) -> Text:
    state = view.state
    elapsed = (state.ended or view.now) - state.started if state.started else 0.0
    text = Text.assemble((where(view), "bold"), f"  run {view.name}  ", headline(state.phase))
    text.append(f"  {position(view).partition(' (')[0]}  elapsed {length(max(0.0, elapsed))}")
    if state.paused is not None:
        text.append(f", paused {length(max(0.0, view.now - state.paused.since))}")
    return text


def _sides(view: RunView) -> list[Text]:
    """Both versions with their shares, and their pods where they were seen; of an adoption, its stage."""
    if view.spec.program.adoption is not None:
        far = headway(view.spec.program, view.state)
        return [Text(f"  stage {far}")] if far else []
    new = share(view)
    revision, seen = view.spec.revision, view.seen
    stable_pods = candidate_pods = ""
    if seen and seen.workload:
        stable = seen.workload.by_hash(revision.stable_hash)
        stable_pods = f"{stable.ready if stable else 0}/{seen.workload.desired} ready"
    if seen and seen.candidate:
        candidate_pods = f"{seen.candidate.ready}/{seen.candidate.replicas} ready"
    stable_name, candidate_name = _names(view)
    return columns(
        [
            [
                f"{stable_name} stable",
                Text(bar(1 - new / 100, _BAR), "green"),
                f"{percent(100 - new):>6}",
                stable_pods,
            ],
            [f"{candidate_name} canary", Text(bar(new / 100, _BAR), "cyan"), f"{percent(new):>6}", candidate_pods],
        ],
        indent="  ",
    )


def _names(view: RunView) -> tuple[str, str]:
    """Short names of both versions: the tags of the first image that differs, else the backends."""
    revision, backends = view.spec.revision, view.spec.program.split
    for container, image in revision.images.items():
        before = revision.stable_images.get(container)
        if before and before != image:
            return tag(before), tag(image)
    sides = backends.stable, backends.candidate
    first, second = (side.subset or side.workload or side.host for side in sides)
    return first, second


def _steps(view: RunView) -> list[Text]:
    program, current = view.spec.program, view.state.step
    first = max(0, min(current - _STEPS // 2, len(program.steps) - _STEPS))
    shown = program.steps[first : first + _STEPS]
    rows = [_step(view, first + i, step) for i, step in enumerate(shown)]
    found = [Text("  STEPS", "bold")]
    if first:
        found.append(Text(f"  · {first} more before", "dim"))
    found += columns(rows, indent="  ")
    if first + len(shown) < len(program.steps):
        found.append(Text(f"  · {len(program.steps) - first - len(shown)} more to come", "dim"))
    return found


def _step(view: RunView, index: int, step: Step) -> list[Cell]:
    state = view.state
    label = f"{index + 1} {' '.join(doing(view.spec.program, step).split())}"
    if state.phase is Phase.SUCCEEDED or index < state.step:
        times = state.step_times
        took = length(times[index]) if index < len(times) else ""
        return [Text.assemble(GOOD, f" {label}"), took]
    if index > state.step:
        return [Text.assemble(NEXT, f" {label}"), ""]
    if state.failed or state.phase in (Phase.ROLLING_BACK, Phase.HELD):
        return [Text.assemble(BAD, f" {label}"), state.reason]
    return [Text.assemble(sign(state.phase), f" {label}"), _progress(view, step)]


def _progress(view: RunView, step: Step) -> str:
    approve = next((i for i in step.instructions if isinstance(i, Approve)), None)
    if approve is not None:
        left = approve.within - spent(view.state, view.now)
        return f"{length(max(0.0, left))} left, then {approve.otherwise}"
    if view.state.held_since is None:
        return "being put in place"
    done = min(max(0.0, hold_spent(view.state, view.now)), step.hold)
    return f"{length(done)} of {length(step.hold)}" if step.hold else ""


def _gates(view: RunView) -> list[Text]:
    step = view.spec.program.steps[view.state.step]
    if not step.gates:
        return []
    head: list[Cell] = [Text("GATES", "bold"), "value", "limit", "trend", "verdict"]
    rows = [_gate(g, view.state.gates.get(g.name, GateState())) for g in step.gates]
    return columns([head, *rows], indent="  ")


def _gate(gate: Gate, state: GateState) -> list[Cell]:
    last = state.looks[-1] if state.looks else None
    value = show(gate, last.value) if last and last.value is not None else "no data"
    return [gate.name, value, limit(gate), trend([x.value for x in state.looks]), verdict(gate, state)]


def verdict(gate: Gate, state: GateState) -> Text:
    """The last look in words: `✔ pass 4/5`, `✖ fail 1/5, 2 end the run`, `◷ no-data`."""
    over = gate.over if isinstance(gate, Limits) else len(state.looks)
    judged = [x for x in state.looks if x.verdict in ("pass", "fail")][-over:] if over else []
    failed = sum(x.verdict == "fail" for x in judged)
    last = state.looks[-1] if state.looks else None
    if last is None:
        return Text.assemble(BUSY, " not looked at yet")
    match last.verdict:
        case "pass" if not isinstance(gate, Limits):
            return Text.assemble(GOOD, " pass")
        case "fail" if not isinstance(gate, Limits):
            return Text.assemble(BAD, " fail")
        case "pass":
            return Text.assemble(GOOD, f" pass {len(judged) - failed}/{len(judged)}")
        case "fail":
            end = f", {gate.failures} {_end(gate)}" if isinstance(gate, Limits) and _stops(gate) else ""
            return Text.assemble(BAD, f" fail {failed}/{len(judged)}{end}")
        case "no-data" | "inconclusive":
            return Text.assemble(WAIT, f" {last.verdict}: waits")
        case "unknown":
            return Text.assemble(WARN, " unknown: metrics unavailable")


def _stops(gate: Limits) -> bool:
    return not gate.observe_only and gate.on_failure != "promote"


def _end(gate: Limits) -> str:
    return "ends the run" if gate.failures == 1 else "end the run"


def _message(view: RunView, width: int) -> Iterable[Text]:
    if view.state.message and not view.state.phase.ended:
        line = Text.assemble("  now: ", " ".join(view.state.message.split()))
        line.truncate(width, overflow="ellipsis")
        yield line
