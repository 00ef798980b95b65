"""The README keeps its word where a machine can tell."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rollout.cli.app import app
from rollout.cli.render.routers import capabilities
from rollout.decide.phase import diagram
from rollout.registry import routers

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ROUTERS = re.compile("(?<=<!-- generated: routers -->\n).*?(?=<!-- end -->)", re.DOTALL)


def test_the_diagram_of_phases_is_the_table() -> None:
    assert diagram() in README


def test_every_make_target_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", README)) <= targets


def test_every_verb_is_a_verb() -> None:
    from typer.main import get_command

    verbs = set(get_command(app).commands)  # type: ignore[attr-defined]  # a group
    assert set(re.findall(r"^rollout ([a-z]+)", README, re.MULTILINE)) <= verbs
    assert set(re.findall(r"`rollout ([a-z]+)", README)) <= verbs


def test_every_folder_of_the_map_exists() -> None:
    for name in re.findall(r"(?:rollout|strategies|crds|examples|lab|bench)/(?:[a-z]+/)*", README):
        assert (ROOT / name).is_dir(), name


def test_the_table_of_routers_is_what_they_declare() -> None:
    table = capabilities(routers())
    if os.environ.get("UPDATE_GOLDEN"):
        (ROOT / "README.md").write_text(ROUTERS.sub(lambda _: table, README))
    else:
        assert ROUTERS.findall(README) == [table], "stale: UPDATE_GOLDEN=1 pytest tests/unit/test_readme.py"
