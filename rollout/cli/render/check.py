"""Results of checks, by category: √ good, ‼ warning, × error, ? not looked at."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from rich.text import Text

from rollout.checks import Result
from rollout.cli.render.findings import as_json as findings_json
from rollout.cli.render.findings import count
from rollout.cli.render.words import lines
from rollout.plan.finding import Finding, Level

_SIGNS: Final = {
    "ok": Text("√", "green"),
    "warning": Text("‼", "yellow"),
    "error": Text("×", "red"),
    "skipped": Text("?", "dim"),
}
_COMMANDS: Final = ("kubectl ", "echo '")


def table(results: Sequence[Result], *, short: bool = False) -> Text:
    """All results below their categories; `short` leaves out what is good."""
    parts: list[Text | str] = []
    for category, members in groupby(results, key=lambda it: it.checker.category):
        shown = [it for it in members if not it.after and not (short and it.state == "ok")]
        if shown and not short:
            parts += [category, "-" * len(category)]
        for it in shown:
            parts += _result(it)
    waiting = [it.after for it in results if it.after]
    if waiting:
        parts.append(Text.assemble(_SIGNS["skipped"], f" not looked at, as they build on {waiting[0]}: {len(waiting)}"))
    return lines([*parts, _total(results)])


def _result(it: Result) -> list[Text | str]:
    parts: list[Text | str] = [Text.assemble(_SIGNS[it.state], f" {it.checker.description}")]
    if it.skipped:
        parts += _indented(it.skipped)
    for finding in it.findings:
        parts += _finding(finding)
    return parts


def _finding(it: Finding) -> list[str]:
    said = _indented(f"{it.level} [{it.code}] {it.message}" if it.level is not Level.INFO else it.message)
    return [*said, *_fix(it.fix)]


def _fix(fix: str) -> list[str]:
    # a command that is broken into lines could not be pasted
    whole = fix.startswith(_COMMANDS) or ": kubectl patch " in fix
    return [f"    fix: {fix}"] if whole else _indented(f"fix: {fix}") if fix else []


def _indented(text: str) -> list[str]:
    return textwrap.wrap(
        text, 80, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False, break_long_words=False
    )


def _total(results: Sequence[Result]) -> Text:
    found = [finding for it in results for finding in it.findings if finding.level is not Level.INFO]
    skipped = sum(it.state == "skipped" for it in results)
    state = "error" if failed(results) else "warning" if found or skipped else "ok"
    rest = f", {skipped} not looked at" if skipped else ""
    return Text.assemble("Status check results are ", _SIGNS[state], f"   ({count(found)}{rest})")


def failed(results: Sequence[Result]) -> bool:
    """Whether there is an error."""
    return any(it.state == "error" for it in results)


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "ok": not failed(results),
        "categories": [
            {
                "name": category,
                "checks": [
                    {
                        "id": it.checker.id,
                        "description": it.checker.description,
                        "state": it.state,
                        **({"skipped": it.skipped} if it.skipped else {}),
                        "findings": findings_json(it.findings),
                    }
                    for it in members
                ],
            }
            for category, members in groupby(results, key=lambda it: it.checker.category)
        ],
    }
