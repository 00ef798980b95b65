"""Lint: numbered rules about files that can be read but will not do what their author wants.

One module per group of rules; a rule is a small function from a plan to the places that break it.  Codes are stable:
`RO10x` steps and weights, `RO11x` reading, `RO12x` timing, `RO13x` and `RO14x` gates and metrics, `RO15x` and `RO16x`
the plan as a whole, `RO170` to `RO172` decisions, `RO175` to `RO179`, `RO234` and `RO235` more of gates, `RO18x` and
`RO19x` manifests of meshes (in `manifests`), `RO203` and `RO206` copies of requests, `RO24x` to `RO26x` plans of
adoption, `RO27x` channels, `RO28x` and `RO29x` hooks, `RO36x` windows and what plans wait for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from rollout.plan.adoption import AdoptionAnalysis, Budget, Stage, Stages
from rollout.plan.base import Model
from rollout.plan.canary import Analysis, CanarySpec, Linear, Match, Step, Text, TrafficOnly
from rollout.plan.channel import ChannelSpec
from rollout.plan.finding import Finding, Level
from rollout.plan.freeze import FreezeSpec
from rollout.plan.gate import Compare, Condition, Number, Provider, Slo, Threshold, TrafficSplit
from rollout.plan.hook import Header, Hook, Webhook
from rollout.plan.lint import (
    adoption,
    adoptionmanifests,
    channels,
    conditions,
    freezes,
    gates,
    hooks,
    manifests,
    routers,
    timing,
    weights,
    whole,
    windows,
)
from rollout.plan.lint.adopted import ADOPTIONS, Adopted
from rollout.plan.lint.channels import CHANNELS, Wired
from rollout.plan.lint.freezes import FREEZES
from rollout.plan.lint.manifests import lint_manifests
from rollout.plan.lint.rule import GATES, PLANS, Known, LintRule, Subject
from rollout.plan.located import Located
from rollout.plan.mistakes import READING
from rollout.plan.objects import (
    CanaryPlan,
    ChangeFreeze,
    DecisionSpec,
    MeshAdoptionPlan,
    MetricTemplate,
    NotificationChannel,
)
from rollout.plan.written import Manifest, Policy

__all__ = ["GROUPS", "Known", "LintRule", "lint", "lint_manifests", "rules"]

GROUPS: Final = (
    weights,
    timing,
    conditions,
    gates,
    hooks,
    whole,
    routers,
    windows,
    adoption,
    adoptionmanifests,
    channels,
    freezes,
    *manifests.GROUPS,
)
"""The modules of rules."""
_MODELS: Final[tuple[type[Model], ...]] = (
    CanarySpec,
    Step,
    Linear,
    TrafficOnly,
    Match,
    Text,
    Analysis,
    Threshold,
    Condition,
    Number,
    Compare,
    Slo,
    TrafficSplit,
    Provider,
    DecisionSpec,
    FreezeSpec,
    Stage,
    AdoptionAnalysis,
    Stages,
    Budget,
    Manifest,
    Policy,
    ChannelSpec,
    Header,
    Webhook,
    Hook,
)
"""The models with rules of their own, which reading a file and the API server enforce."""


def rules() -> tuple[LintRule[Any], ...]:
    """All rules by code: those of reading, those of the models, and those of lint."""
    reading: list[LintRule[Any]] = [LintRule(code, Level.ERROR, text) for code, text in READING.items()]
    # models may share a rule; the longest of its texts says all of it
    texts = sorted(((rule.code, rule.message) for model in _MODELS for rule in model.rules), key=lambda it: len(it[1]))
    models: dict[str, LintRule[Any]] = {code: LintRule(code, Level.ERROR, text) for code, text in texts}
    books: tuple[LintRule[Any], ...] = (
        *PLANS.rules(),
        *GATES.rules(),
        *ADOPTIONS.rules(),
        *CHANNELS.rules(),
        *FREEZES.rules(),
        *manifests.rules(),
    )
    return tuple(sorted((*reading, *models.values(), *books), key=lambda rule: rule.code))


def lint(documents: Sequence[Located], known: Known | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong or doubtful about the plans among the documents, in the order they are written.

    MetricTemplates among the documents count as known templates of their namespace.
    """
    known = known or Known()
    return tuple(
        finding for located in documents for finding in sorted(_findings(located, documents, known), key=_code)
    )


def _findings(located: Located, documents: Sequence[Located], known: Known) -> Iterator[Finding]:
    document, place = located.document, located.place
    if isinstance(document, CanaryPlan):
        subject = Subject(document, _with_waits(_with_templates(known, documents, document), documents, document))
        yield from PLANS.findings(subject, place)
        yield from GATES.findings(subject, place)
    elif isinstance(document, MeshAdoptionPlan):
        adopted = Adopted(document, _with_templates(known, documents, document))
        yield from ADOPTIONS.findings(adopted, place)
        yield from GATES.findings(adopted, place)
        yield from lint_manifests(adoptionmanifests.embedded(document, place))
    elif isinstance(document, NotificationChannel):
        yield from CHANNELS.findings(Wired(document, known), place)
    elif isinstance(document, ChangeFreeze):
        yield from FREEZES.findings(document, place)


def _code(finding: Finding) -> str:
    return finding.code


def _with_templates(known: Known, documents: Sequence[Located], plan: CanaryPlan | MeshAdoptionPlan) -> Known:
    here = {
        located.document.metadata.name: located.document.spec
        for located in documents
        if isinstance(located.document, MetricTemplate)
        and located.document.metadata.namespace == plan.metadata.namespace
    }
    return replace(known, templates={**(known.templates or {}), **here}) if here else known


def _with_waits(known: Known, documents: Sequence[Located], plan: CanaryPlan) -> Known:
    here = {
        located.document.metadata.name: located.document.spec.depends_on
        for located in documents
        if isinstance(located.document, CanaryPlan) and located.document.metadata.namespace == plan.metadata.namespace
    }
    return replace(known, waits={**here, plan.metadata.name: plan.spec.depends_on})
