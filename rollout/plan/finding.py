"""A finding: one thing that is wrong or doubtful, with its consequence and its fix.

Lint rules, preflight checks and routers all speak in findings, so that the same words reach the terminal, the status
and JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Errors stop a start; warnings do not."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable and documented (`RO1xx` lint, `RO2xx` preflight, `RO3xx` routing, `RO4xx` metrics,
    `RO5xx` mesh adoption, `RO6xx` readiness for mTLS only)."""

    code: str
    level: Level
    message: str
    where: str = ""
    """file:line:column, or an object and field."""
    fix: str = ""
    subject: str = ""
    """The document in a file: `CanaryPlan checkout.shop`. Empty where `where` names the object."""
    path: str = ""
    """The field in it: `spec.steps[2].weight`."""

    def __str__(self) -> str:
        """`Error [RO114] (CanaryPlan checkout.shop) canary.yaml:31:7 spec.steps[2].weight: 120 is over 100`."""
        subject = f"({self.subject})" if self.subject else ""
        place = " ".join(part for part in (subject, self.where, self.path) if part)
        return f"{self.level.capitalize()} [{self.code}] {place}: {self.message}"
