"""The house rules that no other tool checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PARTS: Final = ("rollout", "strategies", "lab", "bench", "tests")
LINES: Final = 400


def modules() -> Iterator[Path]:
    """Every module of ours, without what the lab keeps."""
    for part in PARTS:
        yield from (path for path in (ROOT / part).rglob("*.py") if "cache" not in path.parts)


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = {str(path.relative_to(ROOT)) for path in modules() if len(path.read_text().splitlines()) > LINES}
    assert long == set(), f"more than {LINES} lines: divide it by what a reader looks for"
