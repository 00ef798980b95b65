"""Built files in a cache: each is made once for the same inputs, and says beforehand how long that may take."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Artefact:
    """A file (or folder) in the cache, from what it is made, and how.

    `inputs` is everything (as text) that the outcome depends on, besides the artefacts in `needs`.
    """

    path: str
    inputs: tuple[str, ...]
    make: Callable[[Path], None]
    needs: tuple[Artefact, ...] = ()

    @property
    def stamp(self) -> str:
        """The hash of all inputs: another stamp, another build."""
        text = json.dumps([self.path, self.inputs, [need.stamp for need in self.needs]])
        return hashlib.sha256(text.encode()).hexdigest()


def digest_of(*files: Path) -> str:
    """Return a hash of the names and contents of files, to be an artefact's input."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


class Cache:
    """The folder of artefacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _note(self, path: str) -> Path:
        return self.folder / "stamps" / f"{path.replace('/', '-')}.json"

    def _read(self, path: str) -> dict[str, str | float]:
        try:
            note: dict[str, str | float] = json.loads(self._note(path).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return note

    def stamp(self, path: str) -> str:
        """Return the stamp with which the file at this path was made, or nothing."""
        return str(self._read(path).get("stamp", ""))

    def fresh(self, artefact: Artefact) -> bool:
        """Return whether the file is there and was made from the inputs of today."""
        return (self.folder / artefact.path).exists() and self.stamp(artefact.path) == artefact.stamp

    def ensure(self, artefact: Artefact, progress: Progress) -> None:
        """Make the file, and before it those it needs, unless they are fresh."""
        if self.fresh(artefact):
            return
        for need in artefact.needs:
            self.ensure(need, progress)
        last = self._read(artefact.path).get("seconds")
        known = f" (last time {last:.0f} s)" if isinstance(last, float) else ""
        progress(f"building {artefact.path.rpartition('/')[2]} ...{known}")
        began = time.monotonic()
        target = self.folder / artefact.path
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.new")
        artefact.make(unfinished)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(unfinished, target)  # a running program keeps the file it was started from
        self._note(artefact.path).parent.mkdir(parents=True, exist_ok=True)
        note = {"stamp": artefact.stamp, "seconds": round(time.monotonic() - began, 1)}
        self._note(artefact.path).write_text(json.dumps(note))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one command at a time build: the second would only do the same work beside the first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
