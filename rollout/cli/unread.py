"""Runs that cannot be read, among others that can: each is named with what to do, and the exit code tells."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from rollout.cli.exit import Code, of_error
from rollout.cli.out import Printer
from rollout.cli.render.words import BAD
from rollout.controller.view import StoredRun, UnreadRun


def told_of(printer: Printer, runs: Iterable[StoredRun]) -> int:
    """Print why runs cannot be read; the exit code of a verb that has shown all of these."""
    code: int = Code.GOOD
    for run in runs:
        if isinstance(run, UnreadRun):
            printer.warn(Text.assemble(BAD, f" {run.error}"))
            printer.warn(f"  next: {run.error.hint}")
            code = of_error(run.error)
    return code
