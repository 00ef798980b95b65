"""RO178 and RO179: conditions over several numbers."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan import expression
from rollout.plan.finding import Level
from rollout.plan.gate import Condition
from rollout.plan.lint.gates import written_gates
from rollout.plan.lint.rule import Gated, Hit, gate_rule
from rollout.plan.mistakes import closest


def _written(subject: Gated) -> Iterator[tuple[str, Condition]]:
    return ((path, gate) for path, gate in written_gates(subject) if isinstance(gate, Condition))


@gate_rule("RO178", Level.ERROR, "A condition is no sentence about numbers", "for example: errors < 0.01 && p99 < 0.5")
def unreadable_condition(subject: Gated) -> Iterator[Hit]:
    """A syntax error, a call, a value that is not true or false."""
    for path, gate in _written(subject):
        if said := expression.mistake(gate.condition):
            yield Hit(f"{path}.condition", f"the condition of gate {gate.name} cannot be judged: {said}")


@gate_rule("RO179", Level.ERROR, "A condition and its metrics do not fit", "use the same names in both")
def other_metrics(subject: Gated) -> Iterator[Hit]:
    """A name that is asked for nowhere, a number that is asked for and not used, a name that cannot be written."""
    for path, gate in _written(subject):
        for name in gate.metrics:
            if not expression.NAME.fullmatch(name) or name in expression.RESERVED:
                yield Hit(f"{path}.metrics.{name}", f"a condition cannot name {name}", "use letters, digits and _")
        if expression.mistake(gate.condition):
            continue
        used = expression.names(gate.condition)
        for name in used:
            if name not in gate.metrics:
                yield Hit(f"{path}.condition", f"there is no metric {name}", closest(name, gate.metrics))
        for name in gate.metrics:
            if name not in used and expression.NAME.fullmatch(name):
                yield Hit(f"{path}.metrics.{name}", f"{name} is asked for, and the condition does not name it")
