"""canary: a new version gets traffic step by step, is looked at, then becomes the version."""

from __future__ import annotations

from typing import assert_never

from rollout.plan.base import seconds
from rollout.plan.canary import CanarySpec
from rollout.plan.objects import CanaryPlan
from rollout.plan.program import Prepare, Program, Release, Route, Step
from rollout.plan.steps import PlannedStep, planned_steps
from rollout.plan.strategy import Facts
from strategies.gates import Scope
from strategies.parts import Instructions, conclusion, program_of, scope_of, shifted, taking_back, undivided, written


class Canary:
    """Weights step by step; then everything, then the Deployment itself (or, traffic-only, the route as it is)."""

    name = "canary"

    def compile(self, plan: CanaryPlan, facts: Facts) -> Program:
        """The program for one run.

        Raises:
            InvalidInput: a gate names a template or a variable that does not exist.
        """
        planned, matched = planned_steps(plan.spec), bool(plan.spec.match)
        scope = scope_of(plan, facts, planned)
        with_workload = plan.spec.target is not None

        def shift(it: PlannedStep) -> Instructions:
            return _shift(it.weight or 0.0, it.mirror, matched=matched, with_workload=with_workload)

        steps = written(planned, scope, shift)
        return program_of(self.name, plan, facts, [*steps, *_ending(plan.spec, planned, scope)])


def _shift(weight: float, mirror: float = 0.0, *, matched: bool, with_workload: bool) -> Instructions:
    route = Route(weight, matched, mirror)
    return (Prepare(min(100, weight + mirror)), route) if with_workload else (route,)


def _ending(spec: CanarySpec, planned: tuple[PlannedStep, ...], scope: Scope) -> list[Step]:
    """From the last weight to the end."""
    weights = [step.weight for step in planned if step.weight is not None]
    full = [] if weights and weights[-1] == 100 else [_full(spec, scope)]
    if spec.traffic is not None:
        return [*full, *shifted(spec)]
    match spec.promotion.mode:
        case "shift":
            return [*full, *shifted(spec)]
        case "native":
            return [_native(spec, scope), conclusion(spec)]
        case mode:
            assert_never(mode)


def _native(spec: CanarySpec, scope: Scope) -> Step:
    """The roll under the plain Service. It can be taken back, so it is watched: the candidate serves beside it."""
    return Step(
        name="release",
        instructions=(Release("native"),),
        gates=taking_back(spec, scope),
        deadline=seconds(spec.promotion.deadline),
        on_failure=spec.analysis.on_failure,
    )


def _full(spec: CanarySpec, scope: Scope) -> Step:
    """All traffic on the new version while the old one stays warm."""
    bake = seconds(spec.promotion.bake)
    return Step(
        name="full",
        instructions=_shift(100.0, matched=bool(spec.match), with_workload=spec.target is not None),
        gates=undivided(spec, scope) if bake > 0 else (),
        hold=bake,
        warmup=min(seconds(spec.analysis.warmup), bake),
        deadline=seconds(spec.analysis.deadline) + bake,
        on_failure=spec.analysis.on_failure,
    )
