"""`gate run`: verdicts about what serves now, and nothing written."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.cli import demo
from tests.kit.shell import Shell

COMPARE = [
    {"name": "success", "type": "compare"},
    {"name": "latency", "type": "compare", "metric": "slow", "tolerance": "2pp"},
]
SAME = ("--candidate", "web", "--stable", "web")


def versions(shell: Shell) -> dict[str, str]:
    """Every object and its version."""
    return {str(ref): obj["metadata"]["resourceVersion"] for ref, obj in shell.simulation.objects}


def test_a_version_that_is_like_the_other_passes(shell: Shell) -> None:
    shell.simulation.run(60)
    before = versions(shell)
    file = shell.file(analysis={**demo.PLAN["spec"]["analysis"], "gates": COMPARE})
    done = shell.run("gate", "run", file, *SAME, "--for", "2m")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("✔ pass") == 2
    body = shell.json("gate", "run", file, *SAME, "--for", "2m")
    assert [gate["verdict"] for gate in body["gates"]] == ["pass", "pass"]
    assert body["gates"][0]["evidence"]["looks"] > 10
    assert versions(shell) == before


def test_a_failing_limit_exits_with_3(shell: Shell) -> None:
    image = "shop/web:1.0"
    shell.simulation.behaviour(image, Behaviour(error_rate=0.3))
    done = shell.run("gate", "run", shell.file(), "--candidate", "web", "--for", "30s", "-q")
    assert done.exit_code == 3, done.output
    assert "✖ fail" in done.stdout
    assert done.stderr == ""


def test_where_there_is_no_candidate_nothing_can_be_told(shell: Shell) -> None:
    done = shell.run("gate", "run", shell.file())
    assert done.exit_code == 4, done.output
    assert "no-data" in done.stdout


@pytest.mark.parametrize("wrong", [["--for", "0s"], ["--for", "soon"], ["--weight", "0"]])
def test_what_makes_no_sense_is_usage(shell: Shell, wrong: list[str]) -> None:
    assert shell.run("gate", "run", shell.file(), *wrong).exit_code == 2
