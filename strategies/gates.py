"""Gates as they are written, compiled into gates as the engine judges them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

from rollout.errors import InvalidInput
from rollout.plan import expression, program, query, sequential
from rollout.plan.base import number, ratio, seconds, spell
from rollout.plan.gate import Compare, Condition, Gate, Number, Slo, TemplateSpec, Threshold, TrafficSplit
from rollout.plan.limits import Scalar


@dataclass(frozen=True, slots=True)
class Scope:
    """What gates may refer to."""

    where: str
    """The plan, for messages."""
    interval: float
    """Seconds between two looks of a gate that does not say."""
    variables: Mapping[str, str]
    """Values of `${...}` that every query has; an empty value is not known in this plan."""
    templates: Mapping[str, TemplateSpec]
    alpha: float = 0.02
    """How likely each gate that judges by evidence may reject a sound version."""
    holds: Mapping[str, float] = field(default_factory=dict)
    """For how many seconds of the whole run each gate looks, by its name."""


FEWEST: Final = 20
"""Looks that evidence is spread over at least: a run may hold for longer than its plan says."""


def compile_gate(gate: Gate, scope: Scope) -> program.Gate:
    """The gate in the engine's units: seconds, and shares 0..1.

    Raises:
        InvalidInput: an unknown template or variable; names the gate.
    """
    every = seconds(gate.every) if gate.every else scope.interval
    planned = max(FEWEST, math.ceil(scope.holds.get(gate.name, 0.0) / every)) if every > 0 else FEWEST
    match gate:
        case Threshold():
            return _limits(gate, scope, every)
        case Condition():
            return _condition(gate, scope, every)
        case Compare():
            return sequential.CompareGate(
                tolerance=ratio(gate.tolerance), planned=planned, every=every, **_judging(gate, scope)
            )
        case Slo():
            allowed = gate.burn * (1 - ratio(gate.objective))
            return sequential.SloGate(allowed=allowed, planned=planned, every=every, **_judging(gate, scope))
        case TrafficSplit():
            return sequential.TrafficGate(gate.name, every, ratio(gate.tolerance), planned, gate.observe_only)
        case _:
            assert_never(gate)


def _judging(gate: Compare | Slo, scope: Scope) -> dict[str, Any]:
    """What both gates that can fail a candidate by evidence have."""
    return {
        "name": gate.name,
        "metric": gate.metric,
        "alpha": scope.alpha,
        "slower_than": seconds(gate.slower_than) if gate.slower_than else None,
        "min_requests": gate.min_requests,
        "on_inconclusive": gate.on_inconclusive,
        "max_hold": seconds(gate.max_hold),
        "observe_only": gate.observe_only,
        "on_failure": gate.on_failure,
    }


def _limits(gate: Threshold, scope: Scope, every: float) -> program.Limits:
    """A gate that compares each look with limits."""
    low = None if gate.min is None else number(gate.min)
    high = None if gate.max is None else number(gate.max)
    common = {**_looks(gate, every), "min": low, "max": high}
    if gate.metric is not None:
        slower_than = seconds(gate.slower_than) if gate.slower_than else None
        return program.CountGate(metric=gate.metric, min_requests=gate.min_requests, slower_than=slower_than, **common)
    asked = _asked(gate, gate, scope)
    beside = _asked(gate, gate, _of_stable(scope)).query if gate.relative_to is not None else None
    return program.QueryGate(query=asked.query, stable_query=beside, unit=asked.unit, provider=asked.provider, **common)


def _condition(gate: Condition, scope: Scope, every: float) -> program.ConditionGate:
    """A gate that judges several numbers together."""
    numbers = {
        name: _asked(gate, it, scope)
        if it.of == "candidate"
        else replace(_asked(gate, it, _of_stable(scope)), of="stable")
        for name, it in gate.metrics.items()
    }
    if said := expression.mistake(gate.condition):
        raise InvalidInput(f"gate {gate.name}: {said}", where=scope.where, hint="correct its condition")
    if unknown := sorted(set(expression.names(gate.condition)) - numbers.keys()):
        message = f"gate {gate.name}: the condition names {unknown[0]}, which is none of its metrics"
        raise InvalidInput(message, where=scope.where, hint=f"its metrics are {', '.join(sorted(numbers))}")
    return program.ConditionGate(condition=gate.condition.strip(), metrics=numbers, **_looks(gate, every))


def _of_stable(scope: Scope) -> Scope:
    """The scope in which the candidate is stable itself."""
    return replace(scope, variables={**scope.variables, "candidate": scope.variables.get("workload", "")})


def _looks(gate: Threshold | Condition, every: float) -> dict[str, Any]:
    """What all gates have that are judged look by look."""
    undecided = None if gate.on_inconclusive == "hold" else gate.on_inconclusive
    return {
        "name": gate.name,
        "every": every,
        "failures": gate.failures,
        "over": gate.over,
        "on_no_data": gate.on_no_data,
        "on_inconclusive": undecided,
        "max_hold": seconds(gate.max_hold) if undecided else None,
        "on_failure": gate.on_failure,
        "observe_only": gate.observe_only,
    }


def _asked(gate: Threshold | Condition, source: Threshold | Number, scope: Scope) -> Scalar:
    """What a gate, or one number of it, asks."""
    if source.template is None:
        assert source.query is not None, "the rules of Threshold and Number: exactly one source"
        return Scalar(_filled(source.query, gate, source, scope))
    template = scope.templates.get(source.template)
    if template is None:
        raise InvalidInput(
            f"gate {gate.name}: there is no MetricTemplate {source.template}",
            where=scope.where,
            hint=f"create it in the plan's namespace; known are: {', '.join(sorted(scope.templates)) or 'none'}",
        )
    return Scalar(_filled(template.query, gate, source, scope), template.unit, template.provider)


def _filled(text: str, gate: Threshold | Condition, source: Threshold | Number, scope: Scope) -> str:
    """The query with every variable replaced."""
    # Prometheus reads no fractions in durations: 1.5m is spelled 1m30s
    built_in = {**scope.variables, "window": spell(seconds(gate.window))}
    values = {**source.variables, **{name: value for name, value in built_in.items() if value}}
    for name in query.names(text):
        if name in values:
            continue
        if name in built_in:
            message = f"gate {gate.name}: ${{{name}}} has no value in this plan"
            hint = "give spec.traffic.workloads" if name in {"workload", "candidate"} else f"give the plan a {name}"
        else:
            message = f"gate {gate.name}: the variable ${{{name}}} is unknown"
            hint = f"add it to the gate's variables, or use one of {', '.join(sorted(built_in))}"
        raise InvalidInput(message, where=scope.where, hint=hint)
    return query.fill(text, values)
