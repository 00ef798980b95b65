"""Running a command to its end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import LabError


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """Return a command's output; a command that fails is an error that says what it wrote."""
    try:
        done = subprocess.run(
            argv, input=stdin, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv)}: not done after {timeout:.0f} s") from error
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-30:])
        raise LabError(f"{' '.join(argv[:12])}: exit code {done.returncode}\n{last}")
    return done.stdout
