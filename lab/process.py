"""Background programs that outlive the command that started them.

A program is known by its process id and that process's start time, both written down. So a later command finds it
again, and none is ever mistaken for another that got the same id, or looked up by name: two labs run the same programs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError
from lab.wait import wait_for


@dataclass(frozen=True)
class Record:
    """What is written down of a started program."""

    pid: int
    started: int
    argv: list[str]


def started_at(pid: int) -> int | None:
    """Return when a process started (in ticks since boot), or None if it is gone or only waits to be buried.

    A process whose first thread has ended looks buried, but holds its ports until its last thread has.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" and threads <= 1 else int(rest[18])


class Processes:
    """The background programs of one lab; `folder` holds a record and a log of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log(self, name: str) -> Path:
        """Return where a program's output goes."""
        return self.folder / f"{name}.log"

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def names(self) -> list[str]:
        """Return the programs that were started and not stopped."""
        return sorted(file.stem for file in self.folder.glob("*.pid"))

    def record(self, name: str) -> Record | None:
        """Return the record of a program that is alive."""
        try:
            record = Record(**json.loads(self._file(name).read_text()))
        except FileNotFoundError:
            return None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(record.pid, os.WNOHANG)  # buries it if it is our child; nobody else would
        return record if started_at(record.pid) == record.started else None

    def start(self, name: str, argv: Sequence[str]) -> bool:
        """Start a program unless it runs with these very arguments; return whether it was started."""
        if (record := self.record(name)) is not None:
            if record.argv == list(argv):
                return False
            self.stop([name])
        self.folder.mkdir(parents=True, exist_ok=True)
        output = os.open(self.log(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
            copies = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
            pid = os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=[*files, *copies], setsid=True)
        except FileNotFoundError as error:
            raise LabError(f"{name} did not start: {argv[0]} is not there") from error
        finally:
            os.close(output)
        started = started_at(pid)
        if started is None:
            raise LabError(f"{name} ended at once", self.log(name))
        self._file(name).write_text(json.dumps(asdict(Record(pid, started, list(argv)))))
        return True

    def stop(self, names: Iterable[str], grace: float = 15) -> None:
        """Stop programs together and return when they are gone; after `grace` seconds they are killed."""
        names = list(names)
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10)):
            for name in names:
                if (record := self.record(name)) is not None:
                    os.kill(record.pid, number)
            if wait_for(lambda: all(self.record(name) is None for name in names), seconds, 0.05):
                break
        else:
            raise LabError(f"could not kill all of {', '.join(names)}")
        for name in names:
            self._file(name).unlink(missing_ok=True)

    def check(self, name: str) -> None:
        """Raise an error with the program's log when it is not alive."""
        if self.record(name) is None:
            raise LabError(f"{name} is not running", self.log(name))
