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
    """`code` is stable and documented (`RO1xx` lint, `RO2xx` preflight, `RO3xx` routing, `RO4xx` metrics)."""

    code: str
    level: Level
    message: str
    where: str = ""
    """file:line:column, or an object and field."""
    fix: str = ""
