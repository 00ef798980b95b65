"""The verbs besides start, against the simulated cluster: what they print, what they leave behind, how they exit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rollout import bootstrap
from rollout.cli import demo
from rollout.cli.app import app
from rollout.plan.kinds import CANARY_PLAN, CRD, PLAN_DECISION, Ref
from rollout.plan.run import Phase
from tests.kit.manifests import peers
from tests.kit.shell import BAD, Shell


def test_status_waits_for_approval_and_promote_lets_it_go_on(shell: Shell) -> None:
    steps = [{"weight": 20}, {"approve": {"within": "1h"}}]
    view = shell.until(Phase.AWAITING_APPROVAL, steps=steps)
    reached = shell.run("status", "web", "--wait-for", "approval")
    assert reached.exit_code == 0
    assert "AwaitingApproval" in reached.stdout
    ordered = shell.run("promote", "web", "--reason", "looks good")
    assert ordered.exit_code == 0
    assert "rollout start web -n shop" in ordered.stderr
    (decision,) = shell.simulation.objects.of(PLAN_DECISION)
    assert decision["spec"]["runUid"] == view.uid
    assert (decision["spec"]["step"], decision["spec"]["reason"]) == (1, "looks good")
    assert shell.run("start", "web").exit_code == 0


def test_status_times_out(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    done = shell.run("status", "web", "-w", "--timeout", "5s")
    assert done.exit_code == 5
    assert "rollout status web -n shop --run web-" in done.stderr
    assert shell.run("status", "web").exit_code == 0
    assert shell.run("status", "web", "--wait-for", "step=1").exit_code == 0


def test_status_lists_plans(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    assert "◌ Progressing" in shell.run("status").stdout
    assert "NAMESPACE" in shell.run("status", "-A").stdout
    assert shell.run("status", "-o", "name").stdout == "canaryplan.meshrollout.dev/web\n"
    assert shell.json("status")[0]["run"]["phase"] == "Progressing"
    empty = shell.run("status", "-n", "elsewhere")
    assert "no plans in namespace elsewhere" in empty.stderr


def test_abort_without_an_engine_goes_home_itself(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING, steps=[{"weight": 30}])
    shell.simulation.clock.run(120)
    done = shell.run("abort", "web", "--reason", "changed my mind", "--yes")
    assert done.exit_code == 0, done.output
    assert "going home from here" in done.stderr
    assert "Aborted" in done.stdout
    assert shell.at_rest()
    assert shell.run("abort", "web", "--reason", "again", "--yes").exit_code == 4


def test_abort_asks_first(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    done = shell.run("abort", "web", "--reason", "x")
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert not shell.simulation.objects.of(PLAN_DECISION)


def test_watch_tells_the_story_of_an_ended_run(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    done = shell.run("watch", "web")
    assert done.exit_code == 3
    assert "GateFailed" in done.stderr


def test_check_looks_at_everything(shell: Shell) -> None:
    pre = shell.run("check", "--pre")
    assert pre.exit_code == 0
    assert "√ Kubernetes API is reachable" in pre.stdout
    full = shell.json("check", shell.file())
    assert [c["name"] for c in full["categories"]] == [
        "cluster",
        "permissions",
        "hold",
        "target",
        "routing",
        "metrics",
    ]
    assert full["ok"]
    shell.simulation.metrics.fault = "outage"
    broken = shell.run("check", shell.file(), "-o", "short")
    assert broken.exit_code == 1
    assert "[RO401]" in broken.stdout
    assert "√ Kubernetes" not in broken.stdout


def test_lint_says_where(shell: Shell) -> None:
    good = shell.run("lint", shell.file())
    assert good.exit_code == 0, good.output
    bad = shell.run("lint", shell.file(steps=[{"weight": 120}]))
    assert bad.exit_code == 4
    assert "canary.yaml:" in bad.stdout
    body = shell.json("lint", shell.file(steps=[{"weight": 50}, {"weight": 20}]))
    assert body["findings"][0]["path"].startswith("spec.steps[1]")


def test_lint_can_fail_on_warnings(shell: Shell) -> None:
    path = shell.file(analysis={"hold": "1m", "gates": []})
    found = shell.json("lint", path)["findings"]
    assert {it["level"] for it in found} == {"warning"}
    assert shell.run("lint", path).exit_code == 0
    assert shell.run("lint", path, "--fail-on", "warning").exit_code == 4


def test_lint_judges_manifests_of_several_files_together(shell: Shell) -> None:
    files = {name: shell.folder / f"{name}.yaml" for name in ("permissive", "strict", "service")}
    files["permissive"].write_text(peers("PERMISSIVE"), encoding="utf-8")
    files["strict"].write_text(peers("STRICT"), encoding="utf-8")
    files["service"].write_text("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n", encoding="utf-8")
    (alone,) = shell.json("lint", str(files["strict"]))["findings"]
    assert (alone["code"], alone["where"]) == ("RO189", f"{files['strict']}:5:10")
    together = shell.run("lint", *map(str, files.values()), shell.file())
    assert together.exit_code == 0
    assert "4 files: no findings" in together.stdout


def test_plan_needs_no_cluster(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(bootstrap, "connect")
    done = shell.run("plan", shell.file())
    assert done.exit_code == 0
    assert "duration" in done.stdout
    assert len(shell.json("plan", shell.file())["steps"]) == 6


def test_plan_of_the_cluster_and_its_errors(shell: Shell) -> None:
    shell.simulation.apply(demo.PLAN)
    assert shell.run("plan", "web").exit_code == 0
    assert shell.run("plan", "other").exit_code == 1
    assert shell.run("plan", "./missing.yaml").exit_code == 4
    assert shell.run("plan", shell.file(), "-n", "elsewhere").exit_code == 2
    assert shell.run("plan", shell.file(strategy="magic")).exit_code == 4


def test_crds_are_printed_and_applied_once(shell: Shell) -> None:
    printed = list(yaml.safe_load_all(shell.run("crds", "print", "--with-hold").stdout))
    assert {obj["kind"] for obj in printed} >= {"CustomResourceDefinition", "MutatingAdmissionPolicy"}
    first, second = shell.run("crds", "apply"), shell.run("crds", "apply")
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert "CustomResourceDefinition/canaryplans.meshrollout.dev created" in first.stdout
    assert "created" not in second.stdout
    assert "unchanged" in second.stdout
    assert len(shell.simulation.objects.of(CRD)) == 7


def test_version_and_completion() -> None:
    run = CliRunner().invoke
    assert "istio" in run(app, ["version"]).stdout
    assert run(app, ["version", "--diagram"]).stdout.startswith("stateDiagram-v2")
    for shell_name in ("bash", "zsh", "fish", "powershell"):
        assert "ROLLOUT_COMPLETE" in run(app, ["completion", shell_name]).stdout
    assert run(app, ["completion", "tcsh"]).exit_code == 2


def test_usage_errors_say_what_to_do(shell: Shell) -> None:
    for words in (
        ["start", "web", "--image", "nonsense"],
        ["status", "web", "--wait-for", "never"],
        ["status", "web", "--timeout", "soon"],
        ["status", "--wait-for", "done"],
        ["why", "web", "-o", "short"],
    ):
        done = shell.run(*words)
        assert done.exit_code == 2, words
        assert "next: " in done.stderr


def test_the_demo_promotes_one_and_rolls_one_back() -> None:
    from rollout.cli.options import Common
    from rollout.cli.out import Printer

    stage = demo.simulated(pace=0)
    assert asyncio.run(demo.play(stage, Printer(Common(quiet=True)))) == 0
    engine = stage.session.engine
    ended = asyncio.run(engine.runs(Ref(CANARY_PLAN, "shop", "web")))
    assert [view.state.phase for view in ended] == [Phase.ROLLED_BACK, Phase.SUCCEEDED]
    plans = asyncio.run(stage.session.world.cluster.list(CANARY_PLAN, "shop"))
    assert len(plans) == 1


def test_simulate_needs_a_cluster_only_for_the_traffic(shell: Shell) -> None:
    file = str(Path(__file__).parents[2] / "examples/compare/canary.yaml")
    drawn = shell.folder / "power.svg"
    done = shell.run("simulate", file, "--rps", "50", "--errors", "0.5%", "--seed", "7", "--svg", str(drawn))
    assert done.exit_code == 0, done.output
    assert "traffic as given, seed 7" in done.stdout
    assert "a sound version is rejected in " in done.stdout
    assert "found in" in drawn.read_text(encoding="utf-8")
    body = shell.json("simulate", file, "--rps", "50", "--errors", "0.5%", "--seed", "7")
    assert body == shell.json("simulate", file, "--rps", "50", "--errors", "0.5%", "--seed", "7")
    assert [gate["gate"] for gate in body["gates"]] == ["success", "latency"]
    for wrong in (["--errors", "1%"], ["--rps", "5", "--errors", "0.01"]):
        assert shell.run("simulate", file, *wrong).exit_code == 2


def test_simulate_asks_prometheus_for_the_traffic_of_a_plan(shell: Shell) -> None:
    shell.simulation.run(120)
    done = shell.run("simulate", shell.file(), "--seed", "1")
    assert done.exit_code == 0, done.output
    assert "traffic of the last 30m" in done.stdout


def test_replay_comes_to_the_same_and_says_so(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={BAD}", "-q")
    done = shell.run("replay", "web")
    assert done.exit_code == 0, done.output
    assert "✖ fail" in done.stdout
    assert done.stdout.rstrip().endswith("✔ the same as the record")
    body = shell.json("replay", "web")
    assert (body["same"], body["complete"]) == (True, True)
    assert "fail" in {look["verdict"] for look in body["looks"]}
