"""Gates as they are written, compiled into gates as the engine judges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.errors import InvalidInput
from rollout.plan import program, query
from rollout.plan.base import number, seconds, spell
from rollout.plan.gate import Gate, Provider, TemplateSpec


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


def compile_gate(gate: Gate, scope: Scope) -> program.CountGate | program.QueryGate:
    """The gate in the engine's units: seconds, and shares 0..1.

    Raises:
        InvalidInput: an unknown template or variable; names the gate.
    """
    every = seconds(gate.every) if gate.every else scope.interval
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


def _source(gate: Gate, scope: Scope) -> tuple[str, str, Provider | None]:
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


def _filled(text: str, gate: Gate, scope: Scope) -> str:
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
