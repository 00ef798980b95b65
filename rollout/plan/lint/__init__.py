"""Lint: numbered rules about files that can be read but will not do what their author wants.

One module per group of rules; a rule is a small function from a plan to the places that break it.  Codes are stable:
`RO10x` steps and weights, `RO11x` reading, `RO12x` timing, `RO13x` and `RO14x` gates and metrics, `RO15x` and `RO16x`
the plan as a whole, `RO17x` decisions, `RO18x` and `RO19x` manifests of meshes (in `manifests`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from rollout.plan.base import Model
from rollout.plan.canary import Analysis, CanarySpec, Linear, Step, TrafficOnly
from rollout.plan.finding import Finding, Level
from rollout.plan.gate import Compare, Provider, Slo, Threshold, TrafficSplit
from rollout.plan.lint import gates, manifests, timing, weights, whole
from rollout.plan.lint.manifests import lint_manifests
from rollout.plan.lint.rule import PLANS, Known, LintRule, Subject
from rollout.plan.located import Located
from rollout.plan.mistakes import READING
from rollout.plan.objects import CanaryPlan, DecisionSpec, MetricTemplate

__all__ = ["GROUPS", "Known", "LintRule", "lint", "lint_manifests", "rules"]

GROUPS: Final = (weights, timing, gates, whole, *manifests.GROUPS)
"""The modules of rules."""
_MODELS: Final[tuple[type[Model], ...]] = (
    CanarySpec,
    Step,
    Linear,
    TrafficOnly,
    Analysis,
    Threshold,
    Compare,
    Slo,
    TrafficSplit,
    Provider,
    DecisionSpec,
)
"""The models with rules of their own, which reading a file and the API server enforce."""


def rules() -> tuple[LintRule[Any], ...]:
    """All rules by code: those of reading, those of the models, and those of lint."""
    reading: list[LintRule[Any]] = [LintRule(code, Level.ERROR, text) for code, text in READING.items()]
    models: list[LintRule[Any]] = [
        LintRule(code, Level.ERROR, text)
        # models may share a rule; the longest of its texts says all of it
        for code, text in sorted(
            ((rule.code, rule.message) for model in _MODELS for rule in model.rules), key=lambda it: len(it[1])
        )
    ]
    models = list({rule.code: rule for rule in models}.values())
    return tuple(sorted((*reading, *models, *PLANS.rules(), *manifests.rules()), key=lambda rule: rule.code))


def lint(documents: Sequence[Located], known: Known | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong or doubtful about the plans among the documents, in the order they are written.

    MetricTemplates among the documents count as known templates of their namespace.
    """
    known = known or Known()
    return tuple(
        finding
        for located in documents
        if isinstance(located.document, CanaryPlan)
        for finding in PLANS.findings(
            Subject(located.document, _with_templates(known, documents, located.document)), located.place
        )
    )


def _with_templates(known: Known, documents: Sequence[Located], plan: CanaryPlan) -> Known:
    here = {
        located.document.metadata.name: located.document.spec
        for located in documents
        if isinstance(located.document, MetricTemplate)
        and located.document.metadata.namespace == plan.metadata.namespace
    }
    return replace(known, templates={**(known.templates or {}), **here}) if here else known
