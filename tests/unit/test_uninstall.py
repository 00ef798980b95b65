"""Uninstalling from a simulated cluster: runs go home first, and nothing of ours is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollout.install.options import CONTROLLER
from rollout.plan.base import HELD, HOLD_LABEL, Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CRD,
    DEPLOYMENT,
    LEASE,
    MUTATING_BINDING,
    NAMESPACE,
    PLAN_RUN,
    ROLE,
    ROLE_BINDING,
    Kind,
)
from rollout.plan.run import Phase
from tests.kit.shell import POLICIES, Shell, installed, stored

HOME = "rollout-system"


def leaves(shell: Shell) -> None:
    """The controller of the simulation goes with its Deployment."""

    def watcher(ref: Any) -> None:
        gone = ref.kind == DEPLOYMENT and ref.name == CONTROLLER and shell.simulation.objects.get(ref) is None
        if gone and shell.controller is not None:
            shell.controller.stopped = True

    shell.simulation.objects.watchers.append(watcher)


def run_of(shell: Shell) -> Json:
    (run,) = shell.simulation.objects.of(PLAN_RUN)
    return run


def nothing_is_left(shell: Shell) -> None:
    kinds = (NAMESPACE, DEPLOYMENT, ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, *POLICIES)
    assert stored(shell, *kinds) == []
    assert [o["metadata"]["name"] for kind in POLICIES for o in shell.simulation.objects.of(kind)] == []
    assert not shell.simulation.objects.of(LEASE)


def is_free_and_paused(shell: Shell) -> None:
    web = shell.simulation.get(DEPLOYMENT, "web")
    assert web["spec"]["paused"] is True
    assert HOLD_LABEL not in web["metadata"].get("labels", {})
    assert HELD not in web["metadata"].get("annotations", {})


def test_without_a_controller_it_takes_the_run_home_itself(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 0, done.output
    assert run_of(shell)["status"]["phase"] == "Aborted"
    assert "finalizers" not in run_of(shell)["metadata"] or not run_of(shell)["metadata"]["finalizers"]
    assert shell.at_rest()
    is_free_and_paused(shell)
    assert "kubectl rollout resume deployment/web -n shop" in done.stderr
    nothing_is_left(shell)
    assert shell.simulation.objects.of(CANARY_PLAN), "plans stay"


def test_a_living_controller_takes_it_home_before_it_goes(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    installed(shell)
    leaves(shell)
    done = shell.run("uninstall", "--yes", "-o", "json")
    assert done.exit_code == 0, done.output
    assert shell.controller is not None
    assert shell.controller.stopped
    lines = json.loads(done.stdout)["done"]
    ended = next(i for i, line in enumerate(lines) if "Aborted" in line)
    assert ended < lines.index(f"Deployment/{CONTROLLER} in {HOME} removed")
    assert shell.at_rest()
    is_free_and_paused(shell)
    nothing_is_left(shell)


def test_a_controller_that_dies_meanwhile_is_stood_in_for(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    controller = shell.control()
    controller.stopped = True
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 0, done.output
    assert run_of(shell)["status"]["phase"] == "Aborted"
    assert shell.at_rest()
    nothing_is_left(shell)


def test_again_it_says_that_nothing_was_there(shell: Shell) -> None:
    installed(shell)
    leaves(shell)
    assert shell.run("uninstall", "--yes").exit_code == 0
    again = shell.run("uninstall", "--yes")
    assert again.exit_code == 0
    assert again.stdout.strip() == "nothing was installed"


def test_a_run_that_does_not_end_keeps_everything_in_place(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    installed(shell)
    done = shell.run("uninstall", "--yes", "--timeout", "0s")
    assert done.exit_code == 1
    assert "nothing was removed" in done.stderr
    assert CONTROLLER in stored(shell, DEPLOYMENT)
    assert "rollout-hold" in stored(shell, *POLICIES)


def test_no_for_an_answer_ends_nothing(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    done = shell.run("uninstall")
    assert done.exit_code == 2
    assert "1 under way" in done.stderr
    assert run_of(shell)["status"]["phase"] == "Progressing"


def test_with_crds_the_plans_go_too_and_it_says_how_many(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the API server serves is remembered for a while: longer than the kinds live."""
    shell.until(Phase.PROGRESSING)
    installed(shell)
    leaves(shell)

    async def remembered(kind: Kind) -> bool:
        return True

    def watcher(ref: Any) -> None:
        if ref.kind == CRD and shell.simulation.objects.get(ref) is None:
            shell.simulation.cluster.server.unserved.add(CANARY_PLAN)

    monkeypatch.setattr(shell.world.cluster, "serves", remembered)
    shell.simulation.objects.watchers.append(watcher)
    done = shell.run("uninstall", "--yes", "--crds")
    assert done.exit_code == 0, done.output
    assert "1 plans and 1 runs of all users go with them" in done.stderr
    assert not shell.simulation.objects.of(CRD)


def test_without_the_verb_release_the_policy_stays_as_long_as_it_holds(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    shell.run("abort", "web", "--reason", "not now", "--yes")
    shell.simulation.cluster.deny("release", CANARY_PLAN)
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 6
    assert "lack the verb release" in done.stderr
    assert [obj["metadata"]["name"] for obj in shell.simulation.objects.of(MUTATING_BINDING)] == ["rollout-hold"]


def test_what_two_controllers_share_goes_with_the_last_one(shell: Shell) -> None:
    for name in ("shop", "east", "west"):
        shell.simulation.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for home in ("east", "west"):
        words = ("--controller-namespace", home, "--namespaces", home, "--no-wait")
        assert shell.run("install", "--yes", *words).exit_code == 0
    assert shell.run("uninstall", "--yes", "--controller-namespace", "east").exit_code == 0
    assert "rollout-decide" in stored(shell, *POLICIES)
    assert "rollout-approve" in stored(shell, CLUSTER_ROLE)
    assert {obj["metadata"]["namespace"] for obj in shell.simulation.objects.of(ROLE)} == {"west"}
    assert shell.run("uninstall", "--yes", "--controller-namespace", "west").exit_code == 0
    nothing_is_left(shell)


def test_a_namespace_that_somebody_lives_in_stays(shell: Shell) -> None:
    installed(shell)
    leaves(shell)
    meta = {"name": "db", "namespace": HOME}
    shell.simulation.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 1}]}})
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 0
    assert f"Namespace/{HOME} stays: Service/db" in done.stderr
    assert stored(shell, NAMESPACE) == [HOME]


def test_a_namespace_of_somebody_else_is_left_as_it_is(shell: Shell) -> None:
    shell.simulation.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tools"}})
    said = installed_in_tools(shell)
    assert {"object": "Namespace/tools", "outcome": "left as it is"} in said["objects"]
    assert shell.run("uninstall", "--yes", "--controller-namespace", "tools").exit_code == 0
    assert [o["metadata"]["name"] for o in shell.simulation.objects.of(NAMESPACE)] == ["tools"]


def installed_in_tools(shell: Shell) -> Any:
    words = ("install", "--yes", "--no-wait", "--controller-namespace", "tools", "-o", "json")
    return json.loads(shell.run(*words).stdout)
