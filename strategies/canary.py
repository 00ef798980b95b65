"""canary: a new version gets traffic step by step, is looked at, then becomes the version."""

from __future__ import annotations

from typing import assert_never

from rollout.plan import program
from rollout.plan.base import RUN_LABEL, ratio, seconds
from rollout.plan.canary import CanarySpec, TrafficOnly
from rollout.plan.gate import Compare, Gate, Slo, TrafficSplit
from rollout.plan.objects import CanaryPlan
from rollout.plan.program import (
    Approve,
    Backends,
    Conclude,
    Instruction,
    Prepare,
    Program,
    Release,
    Route,
    Settings,
    Side,
    Step,
)
from rollout.plan.steps import PlannedStep, common_gates, planned_steps
from rollout.plan.strategy import Facts
from strategies.gates import Scope, compile_gate


class Canary:
    """Weights step by step; then everything, then the Deployment itself (or, traffic-only, the route as it is)."""

    name = "canary"

    def compile(self, plan: CanaryPlan, facts: Facts) -> Program:
        """The program for one run.

        Raises:
            InvalidInput: a gate names a template or a variable that does not exist.
        """
        spec = plan.spec
        backends = _backends(plan, facts)
        planned = planned_steps(spec)
        scope = _scope(plan, backends, facts, planned)
        steps = [*_written(planned, scope, with_workload=spec.target is not None), *_ending(spec, planned, scope)]
        return Program(
            strategy=self.name,
            workload=spec.target.name if spec.target else "",
            backends=backends,
            steps=tuple(steps),
            settings=_settings(spec, facts),
        )


def _written(planned: tuple[PlannedStep, ...], scope: Scope, *, with_workload: bool) -> list[Step]:
    """The plan's own steps. While a person is waited for, the gates of the weight before keep looking."""
    steps: list[Step] = []
    watching: tuple[Gate, ...] = ()
    for step in planned:
        instructions: tuple[Instruction, ...]
        if step.approve is not None:
            instructions = (Approve(seconds(step.approve.within), step.approve.otherwise),)
        else:
            assert step.weight is not None, "Step.rules: either a weight or an approve"
            instructions = _shift(step.weight, with_workload=with_workload)
            watching = step.gates
        steps.append(
            Step(
                name=step.name,
                instructions=instructions,
                gates=tuple(compile_gate(gate, scope) for gate in watching),
                hold=step.hold,
                warmup=step.warmup,
                deadline=step.deadline,
                on_failure=step.on_failure,
            )
        )
    return steps


def _shift(weight: float, *, with_workload: bool) -> tuple[Instruction, ...]:
    return (Prepare(weight), Route(weight)) if with_workload else (Route(weight),)


def _ending(spec: CanarySpec, planned: tuple[PlannedStep, ...], scope: Scope) -> list[Step]:
    """From the last weight to the end. With all traffic on the candidate, a roll that fails hurts nobody: it holds."""
    weights = [step.weight for step in planned if step.weight is not None]
    full = [] if weights and weights[-1] == 100 else [_full(spec, scope)]
    deadline = seconds(spec.promotion.deadline)
    conclude = Step("conclude", (Conclude(),), deadline=deadline, on_failure="hold")
    if spec.traffic is not None:
        kept = Step("conclude", (Conclude(keep_route=True),), deadline=deadline, on_failure="hold")
        return [*full, kept]
    match spec.promotion.mode:
        case "shift":
            return [*full, Step("release", (Release("shift"),), deadline=deadline, on_failure="hold"), conclude]
        case "native":
            return [_native(spec, scope), conclude]
        case mode:
            assert_never(mode)


def _native(spec: CanarySpec, scope: Scope) -> Step:
    """The roll under the plain Service. It can be taken back, so it is watched: the candidate serves beside it."""
    back = spec.analysis.on_failure == "rollback"
    return Step(
        name="release",
        instructions=(Release("native"),),
        gates=_undivided(spec, scope) if back else (),
        deadline=seconds(spec.promotion.deadline),
        on_failure=spec.analysis.on_failure,
    )


def _full(spec: CanarySpec, scope: Scope) -> Step:
    """All traffic on the new version while the old one stays warm."""
    bake = seconds(spec.promotion.bake)
    return Step(
        name="full",
        instructions=_shift(100.0, with_workload=spec.target is not None),
        gates=_undivided(spec, scope) if bake > 0 else (),
        hold=bake,
        warmup=min(seconds(spec.analysis.warmup), bake),
        deadline=seconds(spec.analysis.deadline) + bake,
        on_failure=spec.analysis.on_failure,
    )


def _undivided(spec: CanarySpec, scope: Scope) -> tuple[program.Gate, ...]:
    """The plan's gates where no router divides the traffic: nothing can be said about how it does."""
    return tuple(compile_gate(it, scope) for it in common_gates(spec) if not isinstance(it, TrafficSplit))


def _backends(plan: CanaryPlan, facts: Facts) -> Backends:
    spec = plan.spec
    if spec.traffic is not None:
        assert spec.service is not None, "CanarySpec.rules: a traffic-only plan names its service"
        service = spec.service
        stable, candidate = _owned_sides(spec.traffic, service)
    else:
        assert spec.target is not None, "CanarySpec.rules: either a target or a traffic section"
        service = spec.service or spec.target.name
        stable = Side(spec.target.name, labels={"pod-template-hash": facts.stable_hash})
        candidate = Side(f"{spec.target.name}-canary", labels={RUN_LABEL: facts.run})
    return Backends(
        namespace=plan.metadata.namespace,
        service=service,
        run=facts.run,
        stable=stable,
        candidate=candidate,
        virtual_services=spec.router.virtual_services,
    )


def _owned_sides(traffic: TrafficOnly, service: str) -> tuple[Side, Side]:
    """Both sides of a traffic-only plan: they are the user's, we only name them."""
    stable, candidate = (
        Side(workload, host=backend.host or service, subset=backend.subset or "")
        for workload, backend in zip(traffic.workloads or ("", ""), (traffic.stable, traffic.candidate), strict=True)
    )
    return stable, candidate


def _scope(plan: CanaryPlan, backends: Backends, facts: Facts, planned: tuple[PlannedStep, ...]) -> Scope:
    gates = [(gate, step.hold) for step in planned for gate in step.gates]
    judging = {gate.name for gate, _ in gates if isinstance(gate, Compare | Slo) and not gate.observe_only}
    return Scope(
        where=f"CanaryPlan/{plan.metadata.name}",
        interval=seconds(plan.spec.analysis.interval),
        variables={
            "namespace": backends.namespace,
            "workload": backends.stable.workload,
            "candidate": backends.candidate.workload,
            "service": backends.service,
        },
        templates=facts.templates,
        alpha=ratio(plan.spec.analysis.false_rollback) / max(1, len(judging)),
        holds={name: sum(hold for gate, hold in gates if gate.name == name) for name in {it.name for it, _ in gates}},
    )


def _settings(spec: CanarySpec, facts: Facts) -> Settings:
    return Settings(
        router=spec.router.type,
        drift=spec.router.drift,
        settle=seconds(spec.router.settle),
        drain=seconds(spec.candidate.drain),
        ready_within=seconds(spec.candidate.ready_within),
        replicas=spec.candidate.replicas,
        hold_mode=facts.hold_mode if spec.hold.mode == "auto" else spec.hold.mode,
        provider=spec.analysis.provider,
        labels=spec.analysis.labels,
    )
