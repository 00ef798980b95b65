"""`--help` must be instant: it may import neither the client, nor the models, nor the terminal library."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from rollout.cli.app import app

HEAVY = ("kubernetes", "aiohttp", "pydantic", "rich", "yaml", "prometheus_api_client")
VERBS = ["start", "plan", "simulate", "replay", "lint", "check", "status", "watch", "promote", "abort", "why", "demo"]
VERBS += ["get", "history", "events", "pause", "resume", "retry", "skip", "undo", "handoff"]
VERBS += ["crds", "completion", "version", "install", "uninstall", "mesh", "notify", "gate"]

PROBE = """
import json, sys
from rollout.cli.app import app
try:
    app(sys.argv[1:], prog_name="rollout")
except SystemExit as end:
    sys.stderr.write(json.dumps({"code": end.code or 0, "modules": sorted(sys.modules)}))
"""


@pytest.mark.parametrize(
    "words",
    [[], *([verb] for verb in VERBS), ["crds", "apply"], ["mesh", "report"], ["notify", "test"], ["gate", "run"]],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *words, "--help"], capture_output=True, text=True, check=True)
    seen = json.loads(done.stderr)
    assert seen["code"] == 0
    assert not [name for name in seen["modules"] if name.partition(".")[0] in HEAVY]
    assert done.stdout.startswith("Usage: rollout")


def test_help_lists_every_verb_with_a_whole_sentence() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    listed = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ") and line.split()}
    for verb in VERBS:
        assert verb in listed
        assert not listed[verb].endswith("...")


def test_unknown_verbs_and_options_are_usage_errors() -> None:
    assert CliRunner().invoke(app, ["sart"]).exit_code == 2
    assert CliRunner().invoke(app, ["plan", "x.yaml", "--nope"]).exit_code == 2


def test_the_shell_completes_verbs() -> None:
    environment = {**os.environ, "_ROLLOUT_COMPLETE": "complete_bash", "COMP_WORDS": "rollout sta", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "rollout"], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["start", "status"]
