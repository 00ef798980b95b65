"""The one exception of the lab."""

from __future__ import annotations

from pathlib import Path


class LabError(Exception):
    """Something in the lab did not work; `log` names the file that tells why, when there is one."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log

    def explain(self, lines: int = 30) -> str:
        """Return the message with the last lines of the log, for a reader who has only the terminal."""
        if self.log is None or not self.log.exists():
            return str(self)
        tail = "\n".join(f"  {line}" for line in self.log.read_text(errors="replace").splitlines()[-lines:])
        return f"{self}\n  last lines of {self.log}:\n{tail}"
