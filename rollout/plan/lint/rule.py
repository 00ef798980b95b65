"""What a lint rule is, and how rules are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rollout.plan.canary import CanarySpec
from rollout.plan.finding import Level
from rollout.plan.gate import TemplateSpec
from rollout.plan.objects import CanaryPlan
from rollout.plan.steps import PlannedStep, planned_steps


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the world beyond the plan. None: not known, and rules that need it stay silent."""

    integer_routers: frozenset[str] = frozenset()
    """Routers that take whole percents only."""
    routers: frozenset[str] | None = None
    """All installed routers."""
    strategies: frozenset[str] | None = None
    """All installed strategies."""
    templates: Mapping[str, TemplateSpec] | None = None
    """The MetricTemplates of the plan's namespace by name, live or from the same files."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A plan under lint, its steps spelled out once for all rules."""

    plan: CanaryPlan
    known: Known
    steps: tuple[PlannedStep, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", planned_steps(self.plan.spec))

    @property
    def spec(self) -> CanarySpec:
        """The plan's spec."""
        return self.plan.spec

    @property
    def weights(self) -> tuple[tuple[PlannedStep, float], ...]:
        """The steps that set a weight, and the weight."""
        return tuple((step, step.weight) for step in self.steps if step.weight is not None)


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a rule is broken. `fix` replaces the rule's own when the place allows a better one."""

    path: str
    message: str
    fix: str = ""


Check = Callable[[Subject], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class LintRule:
    """One numbered rule. `check` is None for rules that reading a file enforces already."""

    code: str
    level: Level
    text: str
    """What it says, in one sentence, for the documentation."""
    fix: str = ""
    check: Check | None = None


_REGISTERED: Final[dict[str, LintRule]] = {}


def rule(code: str, level: Level, text: str, fix: str = "") -> Callable[[Check], Check]:
    """Register a function as the rule with this code."""

    def register(check: Check) -> Check:
        assert code not in _REGISTERED, f"{code} is taken"
        _REGISTERED[code] = LintRule(code, level, text, fix, check)
        return check

    return register


def registered() -> tuple[LintRule, ...]:
    """All rules that were registered, by code."""
    return tuple(_REGISTERED[code] for code in sorted(_REGISTERED))
