"""What every compiler of a CanaryPlan has in common: both sides of the split, what gates may refer to, the ending."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from rollout.plan import canary, program
from rollout.plan.base import RUN_LABEL, ratio, seconds
from rollout.plan.canary import CanarySpec, TrafficOnly
from rollout.plan.gate import Compare, Gate, Slo, TrafficSplit, compares, decides
from rollout.plan.objects import CanaryPlan
from rollout.plan.program import (
    FORMAT,
    PLAIN,
    Approve,
    Backends,
    Conclude,
    Instruction,
    Match,
    Program,
    Release,
    Settings,
    Side,
    Step,
    Text,
    beyond_plain,
)
from rollout.plan.steps import PlannedStep, common_gates
from rollout.plan.strategy import Facts
from strategies.gates import Scope, compile_gate
from strategies.hooks import compile_hooks, with_hooks

Instructions = tuple[Instruction, ...]


def program_of(name: str, plan: CanaryPlan, facts: Facts, steps: Sequence[Step]) -> Program:
    """The program of these steps, with what the plan says of the whole run."""
    return Program(
        strategy=name,
        workload=plan.spec.target.name if plan.spec.target else "",
        backends=backends_of(plan, facts),
        steps=tuple(with_hooks(plan.spec, list(steps))),
        settings=settings_of(plan.spec, facts),
        format=FORMAT if _is_new(plan.spec, steps) else PLAIN,
        hooks=compile_hooks(plan.spec),
    )


def _is_new(spec: CanarySpec, steps: Sequence[Step]) -> bool:
    """Whether an older engine would leave something out: hooks, chosen requests, whose word is waited for, or what a
    gate says of itself."""
    asked = [it for step in steps for it in step.instructions if isinstance(it, Approve)]
    by_some = any(it.users or it.groups or it.count > 1 or it.otherwise == "hold" for it in asked)
    new = any(beyond_plain(it) for step in steps for it in step.gates)
    return bool(spec.hooks or spec.match or by_some or _copies(spec) or new)


def _step(planned: PlannedStep, instructions: Instructions, gates: Sequence[Gate], scope: Scope) -> Step:
    """A step of the plan that does these instructions, then holds while these gates look."""
    return Step(
        name=planned.name,
        instructions=instructions,
        gates=tuple(compile_gate(gate, scope) for gate in gates),
        hold=planned.hold,
        warmup=planned.warmup,
        deadline=planned.deadline,
        on_failure=planned.on_failure,
        early=planned.early,
    )


def written(planned: Sequence[PlannedStep], scope: Scope, weighed: Callable[[PlannedStep], Instructions]) -> list[Step]:
    """The plan's own steps; `weighed`: the instructions for one with a weight.

    While a person is waited for, the gates of the weight before keep looking.
    """
    steps: list[Step] = []
    watching: tuple[Gate, ...] = ()
    for step in planned:
        if step.approve is not None:
            steps.append(_step(step, (_approval(step.approve),), watching, scope))
            continue
        watching = step.gates
        steps.append(_step(step, weighed(step), watching, scope))
    return steps


def _approval(wanted: canary.Approve) -> Approve:
    """A person's word, as an instruction."""
    return Approve(seconds(wanted.within), wanted.otherwise, wanted.users, wanted.groups, wanted.count)


def shifted(spec: CanarySpec) -> list[Step]:
    """From all traffic on the candidate to the end. A roll that fails hurts nobody: it holds."""
    deadline = seconds(spec.promotion.deadline)
    if spec.traffic is not None:
        return [conclusion(spec, keep_route=True)]
    return [Step("release", (Release("shift"),), deadline=deadline, on_failure="hold"), conclusion(spec)]


def conclusion(spec: CanarySpec, *, keep_route: bool = False) -> Step:
    """The last step."""
    instructions = (Conclude(keep_route=keep_route),)
    return Step("conclude", instructions, deadline=seconds(spec.promotion.deadline), on_failure="hold")


def undivided(spec: CanarySpec, scope: Scope) -> tuple[program.Gate, ...]:
    """The plan's gates where no router divides the traffic: nothing can be said about how it does, nor which share of
    what is measured is whose."""
    return tuple(compile_gate(it, scope) for it in common_gates(spec) if not _divides(it))


def _divides(gate: Gate) -> bool:
    """Whether a gate tells something only where both versions have requests, by a router's hand."""
    return isinstance(gate, TrafficSplit) or (compares(gate) and not isinstance(gate, Compare))


def taking_back(spec: CanarySpec, scope: Scope) -> tuple[program.Gate, ...]:
    """Those of them that roll back: where the Deployment rolls by itself, the others could stop nothing."""
    wanted = {
        it.name
        for it in common_gates(spec)
        if not isinstance(it, TrafficSplit) and (it.on_failure or spec.analysis.on_failure) == "rollback"
    }
    return tuple(it for it in undivided(spec, scope) if it.name in wanted)


def backends_of(plan: CanaryPlan, facts: Facts) -> Backends:
    """Both sides of the split: ours told apart by labels, or the owner's as he names them."""
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
        matches=tuple(_match(it) for it in spec.match),
        mirror=_copies(spec),
    )


def _copies(spec: CanarySpec) -> float:
    """The most that any step copies."""
    return max((step.mirror or 0.0 for step in spec.steps or ()), default=0.0)


def _match(wanted: canary.Match) -> Match:
    """As a router reads it: a cookie is a part of a header."""
    headers = {name: _text(text) for name, text in wanted.headers.items()}
    for name, value in wanted.cookies.items():
        headers["cookie"] = Text("regex", rf"(.*;\s*)?{re.escape(name)}={re.escape(value)}(;.*)?")
    return Match(headers, {name: _text(text) for name, text in wanted.query.items()})


def _text(wanted: canary.Text) -> Text:
    ways: tuple[Literal["exact", "prefix", "regex"], ...] = ("exact", "prefix", "regex")
    return next(Text(how, value) for how in ways if (value := getattr(wanted, how)) is not None)


def _owned_sides(traffic: TrafficOnly, service: str) -> tuple[Side, Side]:
    """Both sides of a traffic-only plan: they are the user's, we only name them."""
    stable, candidate = (
        Side(workload, host=backend.host or service, subset=backend.subset or "")
        for workload, backend in zip(traffic.workloads or ("", ""), (traffic.stable, traffic.candidate), strict=True)
    )
    return stable, candidate


def scope_of(plan: CanaryPlan, facts: Facts, planned: Sequence[PlannedStep]) -> Scope:
    """What the plan's gates may refer to, and how its budget of errors is divided over them."""
    backends = backends_of(plan, facts)
    gates = [(gate, step.hold) for step in planned for gate in step.gates]
    judging = {gate.name for gate, _ in gates if isinstance(gate, Compare | Slo) and decides(gate)}
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


def settings_of(spec: CanarySpec, facts: Facts) -> Settings:
    """Times and policies of the run."""
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
