"""Gates as they are written, compiled into gates as the engine judges them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from rollout.errors import InvalidInput
from rollout.plan import program, query, sequential
from rollout.plan.base import number, ratio, seconds, spell
from rollout.plan.gate import Compare, Gate, Provider, Slo, TemplateSpec, Threshold, TrafficSplit


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
    }


def _limits(gate: Threshold, scope: Scope, every: float) -> program.Limits:
    """A gate that compares each look with limits."""
    low = None if gate.min is None else number(gate.min)
    high = None if gate.max is None else number(gate.max)
    if gate.metric is not None:
        return program.CountGate(
            name=gate.name,
            metric=gate.metric,
            every=every,
            failures=gate.failures,
            over=gate.over,
            min=low,
            max=high,
            min_requests=gate.min_requests,
            slower_than=seconds(gate.slower_than) if gate.slower_than else None,
            on_no_data=gate.on_no_data,
            observe_only=gate.observe_only,
        )
    text, unit, provider = _source(gate, scope)
    return program.QueryGate(
        name=gate.name,
        query=_filled(text, gate, scope),
        every=every,
        failures=gate.failures,
        over=gate.over,
        min=low,
        max=high,
        unit=unit,
        provider=provider,
        on_no_data=gate.on_no_data,
        observe_only=gate.observe_only,
    )


def _source(gate: Threshold, scope: Scope) -> tuple[str, str, Provider | None]:
    """Query, unit and provider of a gate that asks PromQL."""
    if gate.template is None:
        assert gate.query is not None, "Threshold.rules: exactly one source"
        return gate.query, "", None
    template = scope.templates.get(gate.template)
    if template is None:
        raise InvalidInput(
            f"gate {gate.name}: there is no MetricTemplate {gate.template}",
            where=scope.where,
            hint=f"create it in the plan's namespace; known are: {', '.join(sorted(scope.templates)) or 'none'}",
        )
    return template.query, template.unit, template.provider


def _filled(text: str, gate: Threshold, scope: Scope) -> str:
    """The query with every variable replaced."""
    # Prometheus reads no fractions in durations: 1.5m is spelled 1m30s
    built_in = {**scope.variables, "window": spell(seconds(gate.window))}
    values = {**gate.variables, **{name: value for name, value in built_in.items() if value}}
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
