"""A package of somebody else's, installed as long as a test runs: found by its entry point, as pip would leave it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, text: str, group: str, **entries: str
) -> Iterator[None]:
    """A package of one module; `entries`: what it is called in the group, and the class."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = [f"{name.replace('_', '-')} = {module}:{found}" for name, found in entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop(module, None)
