"""The verbs against the simulated cluster: what they print, what they leave behind, how they exit."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import replace

import pytest
import yaml
from typer.testing import CliRunner

from rollout import bootstrap
from rollout.cli import demo
from rollout.cli.app import app
from rollout.controller import foreground
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.plan.kinds import (
    CANARY_PLAN,
    CRD,
    DEPLOYMENT,
    METRIC_TEMPLATE,
    PLAN_DECISION,
    PLAN_RUN,
    VIRTUAL_SERVICE,
    Ref,
)
from rollout.plan.run import Phase
from tests.kit.manifests import peers
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


def press_ctrl_c(shell: Shell, times: int) -> None:
    """Once the candidate has traffic, and again nine simulated seconds later."""
    since: list[float] = []

    def tick() -> None:
        now = shell.simulation.clock.now()
        routed = shell.simulation.traffic.ledger.by_workload["web-canary"] > 0
        if routed and len(since) < times and (not since or now - since[-1] >= 9):
            since.append(now)
            signal.raise_signal(signal.SIGINT)

    shell.simulation.clock.each_second(tick)


def test_ctrl_c_takes_the_traffic_home(shell: Shell) -> None:
    press_ctrl_c(shell, times=1)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 130
    assert "taking the traffic home; Ctrl-C again leaves it where it is" in done.stderr
    assert "Aborted" in done.stdout
    assert "next: rollout why" in done.stderr
    assert shell.at_rest()


def interrupted_in(shell: Shell, function: str, *, done: bool) -> str:
    """Ctrl-C when the engine begins (or has done) a part of the start; what is said."""
    real = getattr(foreground, function)

    async def pressed(*args: object) -> None:
        if done:
            await real(*args)
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(foreground, function, pressed)
        result = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert result.exit_code == 130
    return " ".join(result.stderr.split())


def test_ctrl_c_before_anything_was_held_says_so(shell: Shell) -> None:
    assert "nothing but the plan was written" in interrupted_in(shell, "arm", done=False)
    assert shell.image() == "shop/web:1.0"


def test_ctrl_c_between_the_hold_and_the_run_says_how_to_go_on_and_how_to_let_go(shell: Shell) -> None:
    said = interrupted_in(shell, "create_run", done=False)
    assert "Deployment/web holds the new version, and nobody tries it" in said
    assert "next: rollout start web -n shop tries it" in said
    assert "rollout start web -n shop --image app=shop/web:1.0 lets it go" in said
    assert shell.run("start", "web", "-n", "shop", "--image", "app=shop/web:1.0").exit_code != 0
    assert not shell.simulation.get(DEPLOYMENT, "web")["spec"].get("paused")
    assert shell.at_rest()


def test_ctrl_c_when_there_is_a_run_that_nobody_drives_says_so(shell: Shell) -> None:
    said = interrupted_in(shell, "create_run", done=True)
    assert "is there, and nobody drives it" in said
    assert shell.run("start", "web", "-n", "shop").exit_code == 0


def test_ctrl_c_twice_leaves_and_says_what_that_means(shell: Shell) -> None:
    press_ctrl_c(shell, times=2)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 130
    assert "nobody watches it" in done.stderr
    assert "rollout start web -n shop resumes" in done.stderr
    assert not shell.at_rest()


def test_ctrl_c_with_leave_leaves_at_once(shell: Shell) -> None:
    press_ctrl_c(shell, times=1)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}", "--leave")
    assert done.exit_code == 130
    assert "the traffic stays where it is" in done.stderr
    assert not shell.at_rest()
    assert shell.run("start", "web").exit_code == 0
    assert shell.at_rest()


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
    assert len(shell.simulation.objects.of(CRD)) == 5


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
