"""Processes beside a test of the lab: `rollout` in somebody's terminal, and `kubectl get --watch`."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """A `rollout` that has ended."""

    code: int
    out: str
    err: str


class Teller(Protocol):
    """Who drives a run, and can tell what it did when a test fails."""

    def text(self) -> str:
        """What it has printed."""
        ...


class Engine:
    """A `rollout start` in the foreground of some terminal."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(argv, env=env, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def wait(self, seconds: float = 150) -> int:
        """Its exit code; one that does not end in time is killed, and an error."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"rollout start has not ended in {seconds:.0f} s:\n{self.text()}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text()


class Watch:
    """A `kubectl get --watch` in the background: every line that the API server's changes make, in their order."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def wait(self, true: Callable[[], bool], seconds: float) -> bool:
        """Whether it became true in time; looked at after every line."""
        with self._changed:
            return self._changed.wait_for(true, seconds)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        if self._process.stdout:
            self._process.stdout.close()
