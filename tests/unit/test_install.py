"""Installing into a simulated cluster: everything comes, is waited for, changed, and taken back."""

from __future__ import annotations

import json

import pytest
import yaml

from rollout import bootstrap
from rollout.adapters.memory.behaviour import Behaviour
from rollout.install import Options, manifests
from rollout.install.options import CONTROLLER, IMAGE
from rollout.plan.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    MUTATING_BINDING,
    MUTATING_POLICY,
    ROLE,
    VALIDATING_POLICY,
    ref_of,
)
from tests.kit.shell import POLICIES, Shell, installed, stored

HOME = "rollout-system"


def test_installed_again_with_fewer_features_its_rights_are_taken_back(shell: Shell) -> None:
    assert shell.run("install", "--yes", "--no-wait").exit_code == 0
    assert f"{CONTROLLER}-mesh-adoption" in stored(shell, CLUSTER_ROLE)
    assert shell.run("install", "--yes", "--no-wait", "--features", "canary").exit_code == 0
    assert not {name for name in stored(shell, CLUSTER_ROLE, CLUSTER_ROLE_BINDING) if "mesh-" in name}


def test_export_needs_no_cluster_and_prints_what_every_supported_one_can_do(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(bootstrap, "connect")
    done = shell.run("install", "--export")
    assert done.exit_code == 0
    assert list(yaml.safe_load_all(done.stdout)) == manifests(Options(decisions="match", hold="none"))
    wanted = ("--decision-mode", "stamp", "--hold", "policy", "--namespaces", "b, a,b", "--image", "x:1")
    listed = json.loads(shell.run("install", "--export", "-o", "json", *wanted).stdout)
    options = Options(image="x:1", namespaces=("b", "a"), decisions="stamp", hold="policy")
    assert listed["items"] == manifests(options)


def test_it_installs_everything_waits_and_says_who_leads(shell: Shell) -> None:
    said = installed(shell)
    for wanted in manifests(Options(decisions="stamp", hold="policy")):
        assert shell.simulation.objects.get(ref_of(wanted)) is not None
    assert said["leader"] == "controller-0"
    web = shell.simulation.get(DEPLOYMENT, CONTROLLER, HOME)
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_doing_it_again_changes_nothing(shell: Shell) -> None:
    installed(shell)
    before = shell.simulation.objects.revision
    again = installed(shell)
    assert {it["outcome"] for it in again["objects"]} == {"unchanged"}
    assert not again["removed"]
    versions = [o["metadata"]["resourceVersion"] for o in shell.simulation.objects.of(CLUSTER_ROLE)]
    assert max(map(int, versions)) <= before


def test_another_image_is_an_upgrade_that_touches_the_deployment_only(shell: Shell) -> None:
    installed(shell)
    again = installed(shell, "--image", "mesh-rollout:next")
    changed = [it["object"] for it in again["objects"] if it["outcome"] != "unchanged"]
    assert changed == [f"Deployment/{CONTROLLER} in {HOME}"]


def test_what_somebody_else_added_stays_and_what_he_changed_is_put_right(shell: Shell) -> None:
    installed(shell)
    role = shell.simulation.get(CLUSTER_ROLE, "rollout-approve", "")
    role["metadata"]["labels"]["team"] = "sre"
    role["rules"] = []
    shell.simulation.replace(role)
    installed(shell)
    role = shell.simulation.get(CLUSTER_ROLE, "rollout-approve", "")
    assert role["metadata"]["labels"]["team"] == "sre"
    assert role["rules"]


def test_dry_run_and_no_for_an_answer_change_nothing(shell: Shell) -> None:
    before = shell.simulation.objects.revision
    shown = shell.run("install", "--dry-run")
    assert shown.exit_code == 0
    assert "is created" in shown.stderr
    refused = shell.run("install")
    assert refused.exit_code == 2
    assert "nothing was done" in refused.stderr
    assert shell.simulation.objects.revision == before


def test_fewer_namespaces_take_the_rights_in_all_of_them_back(shell: Shell) -> None:
    shell.simulation.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    installed(shell)
    said = installed(shell, "--namespaces", "shop")
    assert "ClusterRoleBinding/rollout-controller-core-rollout-system" in said["removed"]
    bound = [f"rollout-controller-{it}-rollout-system" for it in ("freezes", "hold-mode", "mesh-around")]
    assert stored(shell, CLUSTER_ROLE_BINDING) == bound
    assert "rollout-controller-core" in stored(shell, ROLE)
    installed(shell, "--hold", "none")
    assert not [name for name in stored(shell, ROLE) if "core" in name]
    assert "rollout-hold" not in stored(shell, *POLICIES)


def test_a_namespace_that_is_missing_is_named_before_anything_is_done(shell: Shell) -> None:
    before = shell.simulation.objects.revision
    done = shell.run("install", "--yes", "--namespaces", "nowhere")
    assert done.exit_code == 4
    assert "kubectl create namespace nowhere" in done.stderr
    assert shell.simulation.objects.revision == before


def test_an_older_api_server_gets_what_it_can_do(shell: Shell) -> None:
    shell.simulation.cluster.server.unserved.update({MUTATING_POLICY, MUTATING_BINDING})
    installed(shell)
    assert not shell.simulation.objects.of(MUTATING_POLICY) or "rollout-decide" not in stored(shell, MUTATING_POLICY)
    assert stored(shell, VALIDATING_POLICY) == ["rollout-decide"]
    for flag in (["--hold", "policy"], ["--decision-mode", "stamp"]):
        done = shell.run("install", "--yes", *flag)
        assert done.exit_code == 1
        assert "Kubernetes 1.36" in done.stderr


def test_one_that_cannot_check_who_decides_is_refused(shell: Shell) -> None:
    shell.simulation.cluster.server.unserved.add(VALIDATING_POLICY)
    done = shell.run("install", "--yes")
    assert done.exit_code == 1
    assert "Kubernetes 1.30" in done.stderr
    assert not stored(shell, DEPLOYMENT)


def test_pods_that_do_not_come_are_explained_when_the_time_is_over(shell: Shell) -> None:
    shell.simulation.behaviour("mesh-rollout:broken", Behaviour(image_pull_error=True))
    done = shell.run("install", "--yes", "--image", "mesh-rollout:broken", "--timeout", "20s")
    assert done.exit_code == 1
    assert "0 of 2 pods are ready; container controller of pod" in done.stderr
    assert "kubectl describe pods" in done.stderr


def test_nobody_leads_is_not_installed(shell: Shell) -> None:
    done = shell.run("install", "--yes", "--timeout", "20s")
    assert done.exit_code == 1
    assert "take the lead" in done.stderr
