"""blue-green: a new version is tried beside production at full size, then gets all traffic in one change."""

from __future__ import annotations

from rollout.plan.objects import CanaryPlan
from rollout.plan.program import Prepare, Program, Route
from rollout.plan.steps import PlannedStep, planned_steps
from rollout.plan.strategy import Facts
from strategies.parts import Instructions, program_of, scope_of, shifted, written


class BlueGreen:
    """The trial, the switch, stable kept warm; then the Deployment rolls (or, traffic-only, the route stays)."""

    name = "blue-green"

    def compile(self, plan: CanaryPlan, facts: Facts) -> Program:
        """The program for one run.

        Raises:
            InvalidInput: a gate names a template or a variable that does not exist.
        """
        planned, matched = planned_steps(plan.spec), bool(plan.spec.match)
        scope = scope_of(plan, facts, planned)
        with_workload = plan.spec.target is not None

        def shift(it: PlannedStep) -> Instructions:
            return _shift(it.weight or 0.0, matched=matched, with_workload=with_workload)

        steps = written(planned, scope, shift)
        return program_of(self.name, plan, facts, [*steps, *shifted(plan.spec)])


def _shift(weight: float, *, matched: bool, with_workload: bool) -> Instructions:
    """All or nothing. The candidate is at full size from the start: what is tried is what will serve."""
    whole = (Prepare(100),) if with_workload else ()
    return (*whole, Route(weight, matched)) if weight == 100 or matched else whole
