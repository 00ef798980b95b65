"""The steps of a plan with every default filled in: the one place that says which value applies when none is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from rollout.plan.base import seconds
from rollout.plan.canary import Analysis, Approve, BlueGreen, CanarySpec, Linear, OnFailure, Step
from rollout.plan.gate import Compare, Gate, Threshold, TrafficSplit


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step as it will run. Times in seconds, weight in percent; exactly one of `weight` and `approve` is set."""

    path: str
    """Where it is written: `spec.steps[2]`, `spec.linear` or `spec.blueGreen`."""
    name: str
    """Unique in the plan, unless two steps were given the same name."""
    weight: float | None
    mirror: float
    """Percent of the requests that are copied to the candidate."""
    approve: Approve | None
    hold: float
    warmup: float
    deadline: float
    on_failure: OnFailure
    early: bool
    gates: tuple[Gate, ...]
    gates_path: str
    """Where its gates are written: its own list, or the plan's."""
    hold_path: str
    """Where its hold is written."""


def planned_steps(spec: CanarySpec) -> tuple[PlannedStep, ...]:
    """The steps of a plan, in order; a preset is expanded."""
    if spec.blue_green is not None:
        return _blue_green(spec.blue_green, spec)
    if spec.linear is not None:
        weights = linear_weights(spec.linear)
        written = [("spec.linear", Step(weight=weight, hold=spec.linear.every)) for weight in weights]
    else:
        written = [(f"spec.steps[{index}]", step) for index, step in enumerate(spec.steps or ())]
    gates = common_gates(spec)
    planned: list[PlannedStep] = []
    for path, step in written:
        taken = {done.name for done in planned} | {other.name for _, other in written if other.name}
        one = _planned(path, step, spec.analysis, gates, step.name or _free(_default_name(step), taken))
        planned.append(_chosen(one, own=step.gates is not None) if spec.match else _copied(one))
    return tuple(planned)


def _copied(step: PlannedStep) -> PlannedStep:
    """A step that copies requests: how the router divides them cannot be counted at the servers."""
    if not step.mirror:
        return step
    return replace(step, gates=tuple(gate for gate in step.gates if not isinstance(gate, TrafficSplit)))


def _chosen(step: PlannedStep, *, own: bool) -> PlannedStep:
    """A step of a plan that chooses requests. Where only these come, only gates that were written for them look."""
    gates = tuple(gate for gate in step.gates if not isinstance(gate, TrafficSplit))
    return replace(step, gates=gates if step.weight or step.mirror or own else ())


def linear_weights(linear: Linear) -> tuple[float, ...]:
    """Equal steps; the last one is exactly `to`.

    >>> linear_weights(Linear(step=20, every="1m", to=50))
    (20.0, 40.0, 50.0)
    """
    weights: list[float] = []
    while (weight := round(linear.step * (len(weights) + 1), 6)) < linear.to:
        weights.append(weight)
    return (*weights, linear.to)


DEFAULT_GATES: Final[tuple[Gate, ...]] = (
    Compare(name="success", type="compare"),
    Compare(name="latency", type="compare", metric="slow", tolerance="2pp"),
    TrafficSplit(name="traffic", type="traffic"),
)
"""What judges a plan that names no gates: no numbers have to be known beforehand."""


ALONE_GATES: Final[tuple[Gate, ...]] = (Threshold(name="success", metric="success", min="99%"),)
"""The same where all traffic comes in one step: after it nothing serves beside the candidate to compare it with."""


def common_gates(spec: CanarySpec) -> tuple[Gate, ...]:
    """The gates of every step without its own."""
    if spec.analysis.gates is not None:
        return spec.analysis.gates
    countable = spec.traffic is None or spec.traffic.workloads is not None
    usual = DEFAULT_GATES if spec.blue_green is None else ALONE_GATES
    return usual if countable else ()


def _blue_green(wanted: BlueGreen, spec: CanarySpec) -> tuple[PlannedStep, ...]:
    """A trial without traffic, perhaps a person's word, and everything in one step that stable stays warm for."""
    path, analysis = "spec.blueGreen", spec.analysis
    trial = Step(name="preview", weight=0, hold=wanted.preview, gates=wanted.preview_gates)
    switch = Step(name="switch", weight=100, hold=wanted.keep_stable)
    asked = () if wanted.approve is None else (Step(name="approve", approve=wanted.approve),)
    planned: list[PlannedStep] = []
    for step, field in ((trial, "preview"), *((it, "approve") for it in asked), (switch, "keepStable")):
        one = _planned(path, step, analysis, common_gates(spec), step.name or field)
        gates = f"{path}.previewGates" if step is trial else "spec.analysis.gates"
        # what is kept warm for a time is so for all of it, and the deadline comes on top
        planned.append(
            replace(
                one,
                hold_path=f"{path}.{field}",
                gates_path=gates,
                early=False,
                warmup=min(one.warmup, one.hold / 2),
                deadline=one.deadline + one.hold,
                gates=tuple(gate for gate in one.gates if not isinstance(gate, TrafficSplit)),
            )
        )
    return tuple(planned)


def _planned(path: str, step: Step, analysis: Analysis, gates: tuple[Gate, ...], name: str) -> PlannedStep:
    own = step.gates is not None
    deadline = seconds(step.deadline or analysis.deadline)
    if step.approve is not None and step.deadline is None:
        # waiting for a person is bounded by the approval itself; the deadline bounds what comes on top of it
        deadline += seconds(step.approve.within)
    return PlannedStep(
        path=path,
        name=name,
        weight=step.weight,
        mirror=step.mirror or 0.0,
        approve=step.approve,
        hold=0.0 if step.approve is not None else seconds(step.hold or analysis.hold),
        warmup=0.0 if step.approve is not None else seconds(analysis.warmup),
        deadline=deadline,
        on_failure=step.on_failure or analysis.on_failure,
        early=analysis.early and step.approve is None,
        gates=step.gates if step.gates is not None else gates,
        gates_path=f"{path}.gates" if own else "spec.analysis.gates",
        hold_path="spec.linear.every" if path == "spec.linear" else f"{path}.hold",
    )


def _default_name(step: Step) -> str:
    if step.weight is None:
        return "approve"
    return f"mirror-{step.mirror:g}" if step.mirror and not step.weight else f"weight-{step.weight:g}"


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered when it is taken."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
