"""`rollout start` against the simulated cluster: what it prints, what it leaves behind, how it exits."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from rollout.cli import demo
from rollout.cli.app import app
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.plan.kinds import DEPLOYMENT, METRIC_TEMPLATE, PLAN_RUN, VIRTUAL_SERVICE
from rollout.plan.run import Phase
from tests.kit.shell import BAD, GOOD, Shell


def test_start_promotes_a_good_version(shell: Shell) -> None:
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 0, done.output
    assert "✔ Succeeded" in done.stdout
    for said in ("✔ parsed", "Ctrl-C takes the traffic home", "earliest finish", "rollout watch web -n shop"):
        assert said in done.stderr
    assert "Promoting" in done.stderr
    web = shell.simulation.get(DEPLOYMENT, "web")
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == GOOD
    assert shell.at_rest()


def test_start_rolls_a_bad_version_back_and_says_why(shell: Shell) -> None:
    done = shell.run("start", shell.file(), "--image", f"app={BAD}", "-q")
    assert done.exit_code == 3
    assert done.stderr == ""
    assert "because  success was" in done.stdout
    assert shell.at_rest()
    story = shell.run("why", "web")
    assert story.exit_code == 0
    assert "✖ fail" in story.stdout
    body = shell.json("why", "web")
    assert body["failed"]["gate"] == "success"
    assert any(look["verdict"] == "fail" for look in body["looks"])
    assert shell.run("status", "web").exit_code == 3


def test_start_prints_the_final_run_as_json_and_progress_apart(shell: Shell) -> None:
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}", "-o", "json")
    body = json.loads(done.stdout)
    assert (body["phase"], body["plan"], body["images"]["candidate"]) == ("Succeeded", "web", {"app": GOOD})
    assert "StepPassed" in done.stderr


def test_a_second_start_resumes(shell: Shell) -> None:
    first = shell.until(Phase.PROGRESSING)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 0
    assert f"run {first.name} resumed" in done.stderr
    assert len(shell.simulation.objects.of(PLAN_RUN)) == 1


def test_start_by_plan_name_needs_the_plan(shell: Shell) -> None:
    done = shell.run("start", "nothing")
    assert done.exit_code == 1
    assert "no plan nothing in namespace shop" in done.stderr
    assert "next: rollout get -A" in done.stderr


def test_start_without_a_new_version_says_what_to_do(shell: Shell) -> None:
    done = shell.run("start", shell.file())
    assert done.exit_code == 1
    assert "--image" in done.stderr


def test_start_is_refused_with_findings(shell: Shell) -> None:
    shell.simulation.cluster.deny("create", VIRTUAL_SERVICE)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 1
    assert "[RO204]" in done.stderr
    assert "rollout check web" in done.stderr
    assert not shell.simulation.objects.of(PLAN_RUN)


def test_start_refuses_what_lint_refuses(shell: Shell) -> None:
    before = shell.simulation.objects.revision
    done = shell.run("start", shell.file(steps=[{"weight": 50}, {"weight": 20}]), "--image", f"app={GOOD}")
    assert done.exit_code == 4
    assert "spec.steps[1]" in done.stderr
    assert shell.simulation.objects.revision == before


def test_start_tells_warnings_and_goes_on(shell: Shell) -> None:
    shell.simulation.metrics.fault = "stale"
    shell.simulation.clock.each_second(lambda: setattr(shell.simulation.metrics, "fault", None))
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 0
    assert "checked                  2 warnings (RO404)" in done.stderr


def test_dry_runs_write_nothing(shell: Shell) -> None:
    before = shell.simulation.objects.revision
    client = shell.run("start", shell.file(), "--dry-run", "client")
    server = shell.run("start", shell.file(), "--dry-run", "server")
    assert (client.exit_code, server.exit_code) == (0, 0), server.output
    assert "PLAN shop/web" in client.stdout
    assert "PLAN shop/web" in server.stdout
    assert "preflight: " in server.stderr
    assert shell.simulation.objects.revision == before


def test_start_reads_stdin(shell: Shell) -> None:
    plan = {**demo.PLAN, "metadata": {"name": "web"}}
    done = CliRunner().invoke(app, ["start", "-", "--image", f"app={GOOD}"], input=yaml.safe_dump(plan))
    assert done.exit_code == 0, done.output
    assert "✔ parsed stdin" in done.stderr


def test_start_takes_templates_of_its_file_along(shell: Shell) -> None:
    template = {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "MetricTemplate",
        "metadata": {"name": "carts"},
        "spec": {"query": "sum(carts)"},
    }
    shell.simulation.metrics.set_scalar("sum(carts)", 99.0)
    path = shell.file(
        analysis={"hold": "6s", "interval": "3s", "gates": [{"name": "c", "template": "carts", "min": 97}]}
    )
    with open(path, "a", encoding="utf-8") as file:
        file.write("---\n" + yaml.safe_dump(template))
    assert shell.run("check", path).exit_code == 0
    assert shell.run("start", path, "--dry-run", "server").exit_code == 0
    assert not shell.simulation.exists(METRIC_TEMPLATE, "carts")
    done = shell.run("start", path, "--image", f"app={GOOD}")
    assert done.exit_code == 0, done.output
    assert shell.simulation.exists(METRIC_TEMPLATE, "carts")
    alone = shell.file(analysis={"gates": [{"name": "c", "template": "carts", "min": 97}]})
    assert shell.run("start", alone, "--dry-run", "server").exit_code == 0


def test_the_timeout_takes_the_traffic_home(shell: Shell) -> None:
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}", "--timeout", "1ms")
    assert done.exit_code == 5
    assert "taking the traffic home" in done.stderr
    assert "Aborted" in done.stdout
    assert shell.at_rest()


def test_the_timeout_with_leave_leaves(shell: Shell) -> None:
    shell.until(Phase.PROMOTING)
    shell.simulation.clock.pace = 50
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}", "--timeout", "1ms", "--leave")
    assert done.exit_code == 5
    assert "rollout start web -n shop resumes" in done.stderr
    assert not shell.at_rest()


def test_start_follows_another_engine_and_takes_over_when_it_dies(shell: Shell) -> None:
    killed_after = [3]

    async def drive() -> None:
        engine = Foreground(replace(shell.world, identity="another"))
        view = await engine.start(demo.PLAN, images={"app": GOOD}, by="another")

        def turn(_: RunView) -> None:
            killed_after[0] -= 1
            if not killed_after[0]:
                raise SystemError("kill -9")

        with pytest.raises(SystemError):
            await engine.drive("shop", view.name, turn)

    asyncio.run(drive())
    done = shell.run("start", "web")
    assert done.exit_code == 0, done.output
    assert "another engine drives run" in done.stderr
    assert "taking over if it dies" in done.stderr
    assert shell.at_rest()
