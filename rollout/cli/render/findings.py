"""Findings as lines, `Error [RO114] (CanaryPlan web.shop) canary.yaml:31:7 ...`, each with its fix below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.text import Text

from rollout.cli.render.words import lines
from rollout.plan.finding import Finding, Level

_STYLES: Final = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.INFO: "bold"}


def finding(it: Finding) -> Text:
    """One finding, with its fix on a line of its own."""
    text = Text(str(it))
    text.stylize(_STYLES[it.level], 0, len(it.level.capitalize()))
    if it.fix:
        text.append(f"\n    fix: {it.fix}")
    return text


def findings(found: Sequence[Finding], checked: str) -> Text:
    """All findings and a line that sums them up."""
    return lines([*map(finding, found), f"{checked}: {count(found)}"])


def count(found: Iterable[Finding]) -> str:
    """`1 error, 2 warnings`; `no findings`."""
    levels = [it.level for it in found]
    parts = [_some(levels.count(level), level) for level in Level if level in levels]
    return ", ".join(parts) or "no findings"


def as_json(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """The same for machines; empty fields are left out."""
    return [
        {
            key: value
            for key, value in (
                ("code", it.code),
                ("level", str(it.level)),
                ("subject", it.subject),
                ("where", it.where),
                ("path", it.path),
                ("message", it.message),
                ("fix", it.fix),
            )
            if value
        }
        for it in found
    ]


def _some(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
