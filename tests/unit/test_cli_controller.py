"""Against a controller: start submits and follows, and a pipeline waits for its own change and for no other."""

from __future__ import annotations

import pytest

from rollout.cli import demo
from rollout.cli.options import Common
from rollout.controller import leader
from rollout.plan.kinds import DEPLOYMENT, LEASE, PLAN_RUN
from rollout.plan.run import Phase
from tests.kit.shell import BAD, GOOD, Shell


def test_the_default_namespace_of_the_controller_is_the_controllers() -> None:
    assert Common().controller_namespace == leader.HOME


def test_start_submits_and_follows_the_controllers_run(shell: Shell) -> None:
    shell.control()
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 0, done.output
    assert "controller controller-0; Ctrl-C only stops following" in done.stderr
    assert "the traffic home" not in done.stderr
    assert "✔ Succeeded" in done.stdout
    assert shell.image() == GOOD
    (run,) = shell.simulation.objects.of(PLAN_RUN)
    assert run["spec"]["startedBy"] == "controller-0"
    assert not [x for x in shell.simulation.objects.of(LEASE) if x["metadata"]["namespace"] == "shop"]


def test_start_of_a_bad_version_ends_with_3(shell: Shell) -> None:
    shell.control()
    assert shell.run("start", shell.file(), "--image", f"app={BAD}").exit_code == 3


def test_start_of_what_was_rolled_back_tries_it_again(shell: Shell) -> None:
    shell.control()
    assert shell.run("start", shell.file(), "--image", f"app={BAD}").exit_code == 3
    shell.simulation.behaviour(BAD, shell.simulation.behaviours.of(GOOD))
    done = shell.run("start", "web")
    assert done.exit_code == 0, done.output
    assert "it is tried again" in done.stderr
    assert len(shell.simulation.objects.of(PLAN_RUN)) == 2


def test_start_without_a_new_version_does_not_wait(shell: Shell) -> None:
    shell.control()
    done = shell.run("start", shell.file())
    assert done.exit_code == 1
    assert "there is nothing to try" in done.stderr


def test_start_says_why_the_controller_does_not_begin(shell: Shell) -> None:
    shell.control()
    path = shell.file(target={"name": "web"}, service="nothing")
    done = shell.run("start", path, "--image", f"app={GOOD}")
    assert done.exit_code == 4
    assert "PreflightFailed: RO" in done.stderr
    assert "rollout check web -n shop" in done.stderr


def test_start_follows_the_run_that_is_under_way(shell: Shell) -> None:
    shell.control()
    assert shell.run("start", shell.file(), "--image", f"app={GOOD}", "--timeout", "1ms").exit_code == 5
    assert shell.run("start", shell.file(), "--image", f"app={GOOD}").exit_code == 0
    assert len(shell.simulation.objects.of(PLAN_RUN)) == 1


def test_ctrl_c_only_stops_following(shell: Shell) -> None:
    shell.control()
    shell.ctrl_c_after(12)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 130
    assert "only stops following: the controller controller-0 goes on" in done.stderr
    assert "rollout watch web -n shop" in done.stderr
    assert shell.run("status", "web", "--wait-for", "done").exit_code == 0
    assert shell.image() == GOOD


def test_a_controller_that_is_dead_or_serves_others_is_none(shell: Shell) -> None:
    controller = shell.control()
    controller.leader.serves = "elsewhere"
    shell.simulation.clock.run(5)
    controller.stopped = True
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}", "--dry-run", "none")
    assert done.exit_code == 0, done.output
    assert "this terminal drives the run" in done.stderr


def test_who_may_not_look_drives_the_run_himself(shell: Shell) -> None:
    shell.simulation.cluster.deny("get", LEASE, leader.HOME)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 0, done.output
    assert "this terminal drives the run" in done.stderr


# -- a pipeline


def push(shell: Shell, image: str) -> None:
    """The GitOps tool applies a new image."""
    shell.simulation.set_image("web", image)


def test_a_pipeline_waits_for_its_image_before_the_cluster_knows_it(shell: Shell) -> None:
    shell.control()
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    shell.after(20, lambda: push(shell, "shop/web:1.2"))
    done = shell.run("status", "web", "--wait-for", "done", "--image", "app=shop/web:1.2", "-o", "json")
    assert done.exit_code == 0, done.output
    assert "waiting for a run of app=shop/web:1.2" in done.stderr
    assert '"candidate": {\n      "app": "shop/web:1.2"' in done.stdout
    assert shell.image() == "shop/web:1.2"


def test_a_pipeline_is_told_the_end_of_its_own_run(shell: Shell) -> None:
    shell.control()
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    shell.after(5, lambda: push(shell, BAD))
    done = shell.run("status", "web", "--wait-for", "done", "--image", f"app={BAD}")
    assert done.exit_code == 3
    assert "RolledBack" in done.stdout


def test_the_success_of_an_earlier_run_of_the_same_image_is_not_this_ones(shell: Shell) -> None:
    """1.1 was promoted, then 1.2; 1.1 is asked for again and has not arrived yet."""
    shell.control()
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    shell.run("start", shell.file(), "--image", "app=shop/web:1.2")
    early = shell.run("status", "web", "--wait-for", "done", "--image", f"app={GOOD}", "--timeout", "10s")
    assert early.exit_code == 5
    assert "no run of app=shop/web:1.1 has come" in early.stderr
    shell.after(3, lambda: push(shell, GOOD))
    done = shell.run("status", "web", "--wait-for", "done", "--image", f"app={GOOD}")
    assert done.exit_code == 0, done.output
    assert len(shell.json("history", "web")) == 3


def test_a_template_with_the_same_image_has_a_run_of_its_own(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    web = shell.simulation.get(DEPLOYMENT, "web")
    web["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "FIXED", "value": "1"}]
    shell.simulation.replace(web)
    late = shell.run("status", "web", "--wait-for", "done", "--image", f"app={BAD}", "--timeout", "5s")
    assert late.exit_code == 5  # and not 3, the end of the run before
    assert "no controller looks after namespace shop" in late.stderr
    asked = shell.json("handoff", "web")["asked"]["revision"]
    shell.control()
    done = shell.run("status", "web", "--wait-for", "done", "--revision", asked)
    assert done.exit_code == 3
    assert shell.json("history", "web")[-1]["revision"] == asked


def test_what_runs_already_needs_no_run(shell: Shell) -> None:
    shell.control()
    shell.simulation.apply(demo.PLAN)
    shell.simulation.clock.run(5)
    done = shell.run("status", "web", "--wait-for", "done", "--image", "app=shop/web:1.0")
    assert done.exit_code == 0, done.output
    assert "no run is needed" in done.stdout
    body = shell.json("status", "web", "--wait-for", "done", "--image", "app=shop/web:1.0")
    assert (body["run"], body["phase"]) == (None, "Succeeded")


def test_a_run_that_does_not_exist_yet_is_waited_for_by_its_name(shell: Shell) -> None:
    shell.control()
    shell.simulation.apply(demo.PLAN)
    shell.simulation.clock.run(5)
    push(shell, GOOD)
    shell.simulation.clock.run(3)
    (run,) = shell.simulation.objects.of(PLAN_RUN)
    name = run["metadata"]["name"]
    assert shell.run("status", "web", "--wait-for", "done", "--run", name).exit_code == 0
    later = shell.run("status", "web", "--wait-for", "done", "--run", "web-00000-9", "--timeout", "5s")
    assert later.exit_code == 5
    assert shell.run("status", "web", "--run", "web-00000-9").exit_code == 1


def test_a_plan_that_does_not_exist_is_not_waited_for(shell: Shell) -> None:
    assert shell.run("status", "nothing", "--wait-for", "done", "--image", "app=x").exit_code == 1


def test_superseded_is_not_success(shell: Shell) -> None:
    shell.control()
    shell.run("start", shell.file(), "--image", f"app={GOOD}", "--timeout", "1ms")
    shell.after(8, lambda: push(shell, "shop/web:1.2"))
    done = shell.run("status", "web", "--wait-for", "done", "--image", f"app={GOOD}")
    assert done.exit_code == 3, done.output
    assert "Superseded" in done.stdout


@pytest.mark.parametrize("words", [["--image", "app=x"], ["--revision", "abc"], ["--run", "x"]])
def test_a_change_needs_its_plan(shell: Shell, words: list[str]) -> None:
    assert shell.run("status", *words).exit_code == 2


def test_what_the_controller_drives_is_driven(shell: Shell) -> None:
    shell.control()
    shell.run("start", shell.file(), "--image", f"app={GOOD}", "--timeout", "1ms")
    assert shell.json("status", "web")["driven"] is True
    assert shell.run("status", "web", "--wait-for", "step=1").exit_code == 0
    assert Phase(shell.json("status", "web")["phase"]) is not Phase.SUCCEEDED
