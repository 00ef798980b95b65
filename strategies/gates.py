"""Gates as they are written, compiled into gates as the engine judges them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rollout.errors import InvalidInput
from rollout.plan import program
from rollout.plan.base import number, seconds, spell
from rollout.plan.gate import Gate, Provider, TemplateSpec

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Hexadecimal escapes end no string, whichever quotes the author of the query chose.
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\x22", "'": r"\x27", "`": r"\x60", "\n": r"\n"})


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
    query, unit, provider = _source(gate, scope)
    return program.QueryGate(
        name=gate.name,
        query=_fill(query, gate, scope),
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


def _fill(query: str, gate: Gate, scope: Scope) -> str:
    """The query with every `${name}` replaced. `${1}`, which `label_replace` uses, is left alone."""
    # Prometheus reads no fractions in durations: 1.5m is spelled 1m30s
    values = {**gate.variables, **scope.variables, "window": spell(seconds(gate.window))}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not values.get(name) and name not in gate.variables:
            raise InvalidInput(
                f"gate {gate.name}: the query's ${{{name}}} "
                + ("has no value in this plan" if name in values else "is unknown"),
                where=scope.where,
                hint="traffic.workloads gives the workloads of a traffic-only plan"
                if name in values
                else f"add it to the gate's variables, or use one of {', '.join(sorted(values))}",
            )
        return values[name].translate(_ESCAPES)

    return _VARIABLE.sub(value, query)
