"""Lint of manifests that people copy: kinds of Istio, Linkerd, SMI and the Gateway API, judged together.

One module per group of rules, as for plans; a rule is asked about one manifest and sees all others.  What the files do
not say is not guessed: a rule that needs a Service, say, is silent without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rollout.plan.finding import Finding
from rollout.plan.lint.manifests import mesh, routing, security, versions
from rollout.plan.lint.manifests.files import together
from rollout.plan.lint.manifests.rule import MANIFESTS, Case
from rollout.plan.lint.rule import LintRule
from rollout.plan.located import Manifest

__all__ = ["GROUPS", "lint_manifests", "rules"]

GROUPS: Final = (versions, routing, security, mesh)
"""The modules of rules."""


def rules() -> tuple[LintRule[Any], ...]:
    """The rules about manifests, by code."""
    return MANIFESTS.rules()


def lint_manifests(manifests: Sequence[Manifest]) -> tuple[Finding, ...]:
    """Everything that is wrong or doubtful about manifests that were given together, in their order."""
    files = together(manifests)
    return tuple(
        finding for given in files.all for finding in MANIFESTS.findings(Case(given, files), given.manifest.place)
    )
