"""completion: the script that lets a shell complete verbs and options."""

from __future__ import annotations

from typer import completion as typers

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common
from rollout.cli.out import Printer

SHELLS = ("bash", "zsh", "fish", "powershell")


def completion(common: Common, shell: str) -> int:
    """Print the script."""
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell}", hint=f"use one of {', '.join(SHELLS)}")
    script = typers.get_completion_script(  # type: ignore[attr-defined]  # public, not re-exported
        prog_name="rollout", complete_var="_ROLLOUT_COMPLETE", shell=shell
    )
    Printer(common).stdout.file.write(script + "\n")
    return Code.GOOD
