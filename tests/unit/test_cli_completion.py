"""Completion of names in the shell: asked for once, remembered for a while, never waited for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout import bootstrap
from rollout.cli import completion, demo
from rollout.plan.base import Json
from rollout.plan.kinds import PLAN_RUN
from tests.kit.shell import GOOD, Shell


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rollout"


def test_names_are_asked_for_once(shell: Shell, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    (run,) = shell.simulation.objects.of(PLAN_RUN)
    assert completion.names("plans", {}) == ["web"]
    assert completion.names("runs", {}) == [run["metadata"]["name"]]
    monkeypatch.delattr(bootstrap, "connect")
    assert completion.names("plans", {}) == ["web"]
    assert completion.names("plans", {"namespace": "elsewhere"}) == []
    assert len(list(cache.iterdir())) == 2


def test_names_of_a_while_ago_are_better_than_none(shell: Shell, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.simulation.apply(demo.PLAN)
    completion.names("plans", {})
    (file,) = cache.iterdir()
    old = file.stat().st_mtime - 60
    os.utime(file, (old, old))
    monkeypatch.delattr(bootstrap, "connect")
    assert completion.names("plans", {}) == ["web"]
    os.utime(file, (old - 3600, old - 3600))
    assert completion.names("plans", {}) == []


def test_a_cluster_that_does_not_answer_costs_a_second(
    shell: Shell, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async def never(*_: object) -> list[Json]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(completion, "LIMIT", 0.01)
    monkeypatch.setattr(shell.world.cluster, "list", never)
    assert completion.names("plans", {}) == []
    assert not cache.exists()


@pytest.mark.parametrize(("line", "found"), [("rollout get w", "web"), ("rollout watch web --run web-", "web-12345-1")])
@pytest.mark.usefixtures("cache")
def test_the_shell_completes_names(line: str, found: str, tmp_path: Path) -> None:
    words = {"plans": ["web"], "runs": ["web-12345-1"]}
    script = (
        f"from rollout.cli import completion, app\ncompletion.names = lambda what, options: {words!r}[what]\napp.main()"
    )
    environment = {**os.environ, "_ROLLOUT_COMPLETE": "complete_bash", "COMP_WORDS": line}
    environment |= {"COMP_CWORD": str(len(line.split()) - 1), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [found]
