"""What a lint rule is, and how rules are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from rollout.plan.canary import CanarySpec
from rollout.plan.finding import Finding, Level
from rollout.plan.gate import Gate, TemplateSpec
from rollout.plan.located import Place
from rollout.plan.objects import CanaryPlan
from rollout.plan.steps import PlannedStep, planned_steps


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the world beyond the plan. None: not known, and rules that need it stay silent."""

    routers: Mapping[str, frozenset[str]] | None = None
    """All installed routers, and what each is able to do."""
    retired: Mapping[str, str] = field(default_factory=dict)
    """Routers that nobody should begin with, and why."""
    strategies: frozenset[str] | None = None
    """All installed strategies."""
    templates: Mapping[str, TemplateSpec] | None = None
    """The MetricTemplates of the plan's namespace by name, live or from the same files."""
    compilers: frozenset[str] | None = None
    """All installed strategies of mesh adoption."""
    meshes: Mapping[str, frozenset[str]] | None = None
    """All installed mesh drivers, and the values of what each is capable of."""
    channels: Mapping[str, Sequence[frozenset[str]]] | None = None
    """All installed kinds of channels, and the sets of fields of which each needs one."""
    reasons: frozenset[str] | None = None
    """Every reason that an event can have."""
    waits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Which CanaryPlans of the plan's namespace wait for which, from the same files."""
    zones: frozenset[str] | None = None
    """Every time zone."""


class Gated(Protocol):
    """Any plan with gates."""

    @property
    def known(self) -> Known:
        """What is known beyond it."""
        ...

    @property
    def gates(self) -> Mapping[str, tuple[Gate, ...]]:
        """Its lists of gates, each once, by their paths."""
        ...


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
    def gates(self) -> Mapping[str, tuple[Gate, ...]]:
        """Its lists of gates, each once, also when many steps share it. Those of a plan that names none are ours."""
        own: dict[str, tuple[Gate, ...]] = {"spec.analysis.gates": self.spec.analysis.gates or ()}
        return {step.gates_path: step.gates for step in self.steps} | own

    def lacks(self, feature: str) -> bool:
        """Whether the plan's router is known, and known not to be able to do something."""
        able = (self.known.routers or {}).get(self.spec.router.type)
        return able is not None and feature not in able

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


S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class LintRule(Generic[S]):
    """One numbered rule about subjects of one sort. `check` is None for rules that reading a file enforces already."""

    code: str
    level: Level
    text: str
    """What it says, in one sentence, for the documentation."""
    fix: str = ""
    check: Callable[[S], Iterable[Hit]] | None = None


class Rulebook(Generic[S]):
    """The rules about subjects of one sort: functions register themselves in it."""

    def __init__(self) -> None:
        self._rules: dict[str, LintRule[S]] = {}

    def rule(
        self, code: str, level: Level, text: str, fix: str = ""
    ) -> Callable[[Callable[[S], Iterable[Hit]]], Callable[[S], Iterable[Hit]]]:
        """Register a function as the rule with this code."""

        def register(check: Callable[[S], Iterable[Hit]]) -> Callable[[S], Iterable[Hit]]:
            assert code not in self._rules, f"{code} is taken"
            self._rules[code] = LintRule(code, level, text, fix, check)
            return check

        return register

    def rules(self) -> tuple[LintRule[S], ...]:
        """All rules that were registered, by code."""
        return tuple(self._rules[code] for code in sorted(self._rules))

    def findings(self, subject: S, place: Place) -> Iterator[Finding]:
        """What is wrong with a subject, by all rules."""
        for rule in self.rules():
            assert rule.check is not None, "registered rules have a check"
            for hit in rule.check(subject):
                yield place.finding(rule.code, rule.level, hit.path, hit.message, hit.fix or rule.fix)


PLANS: Final = Rulebook[Subject]()
"""The rules about plans of new versions."""
rule = PLANS.rule
GATES: Final = Rulebook[Gated]()
"""The rules about the gates of any plan."""
gate_rule = GATES.rule
