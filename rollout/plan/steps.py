"""The steps of a plan with every default filled in: the one place that says which value applies when none is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rollout.plan.base import seconds
from rollout.plan.canary import Analysis, Approve, CanarySpec, Linear, OnFailure, Step
from rollout.plan.gate import Compare, Gate, TrafficSplit


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step as it will run. Times in seconds, weight in percent; exactly one of `weight` and `approve` is set."""

    path: str
    """Where it is written: `spec.steps[2]`, or `spec.linear`."""
    name: str
    """Unique in the plan, unless two steps were given the same name."""
    weight: float | None
    approve: Approve | None
    hold: float
    warmup: float
    deadline: float
    on_failure: OnFailure
    gates: tuple[Gate, ...]
    gates_path: str
    """Where its gates are written: its own list, or the plan's."""


def planned_steps(spec: CanarySpec) -> tuple[PlannedStep, ...]:
    """The steps of a plan, in order; a preset is expanded."""
    if spec.linear is not None:
        weights = linear_weights(spec.linear)
        written = [("spec.linear", Step(weight=weight, hold=spec.linear.every)) for weight in weights]
    else:
        written = [(f"spec.steps[{index}]", step) for index, step in enumerate(spec.steps or ())]
    gates = common_gates(spec)
    planned: list[PlannedStep] = []
    for path, step in written:
        taken = {done.name for done in planned} | {other.name for _, other in written if other.name}
        planned.append(_planned(path, step, spec.analysis, gates, step.name or _free(_default_name(step), taken)))
    return tuple(planned)


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


def common_gates(spec: CanarySpec) -> tuple[Gate, ...]:
    """The gates of every step without its own."""
    if spec.analysis.gates is not None:
        return spec.analysis.gates
    countable = spec.traffic is None or spec.traffic.workloads is not None
    return DEFAULT_GATES if countable else ()


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
        approve=step.approve,
        hold=0.0 if step.approve is not None else seconds(step.hold or analysis.hold),
        warmup=0.0 if step.approve is not None else seconds(analysis.warmup),
        deadline=deadline,
        on_failure=step.on_failure or analysis.on_failure,
        gates=step.gates if step.gates is not None else gates,
        gates_path=f"{path}.gates" if own else "spec.analysis.gates",
    )


def _default_name(step: Step) -> str:
    return "approve" if step.weight is None else f"weight-{step.weight:g}"


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered when it is taken."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
