"""`rollout handoff`: what Git has to ask for, after a promotion, a rollback, and in mid-run."""

from __future__ import annotations

import json
from typing import Any

import yaml

from rollout.cli import demo
from rollout.plan.kinds import DEPLOYMENT
from rollout.plan.run import Phase
from tests.kit.shell import BAD, GOOD, Shell


def patched(shell: Shell) -> Any:
    return yaml.safe_load(shell.run("handoff", "web").stdout)


def test_handoff_after_a_promotion_is_the_image_that_runs(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    shell.simulation.clock.run(10)
    done = shell.run("handoff", "web")
    assert done.exit_code == 0
    assert patched(shell) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": GOOD}]}}},
    }
    assert f"kustomize edit set image shop/web={GOOD}" in done.stderr
    assert f"kubectl set image --local -f deployment.yaml app={GOOD} -o yaml" in done.stderr
    assert shell.json("handoff", "web")["agrees"] is True


def test_handoff_after_a_rollback_is_the_image_that_stayed(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    done = shell.run("handoff", "web")
    assert f"still asks for {BAD}" in done.stdout
    assert patched(shell)["spec"]["template"]["spec"]["containers"] == [{"name": "app", "image": "shop/web:1.0"}]
    body = shell.json("handoff", "web")
    assert (body["agrees"], body["stable"]["images"], body["asked"]["images"]) == (
        False,
        {"app": "shop/web:1.0"},
        {"app": BAD},
    )


def test_handoff_of_more_than_images_is_the_whole_template(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    web = shell.simulation.get(DEPLOYMENT, "web")
    web["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "NEW", "value": "1"}]
    web["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = "apps"
    shell.simulation.replace(web)
    template = patched(shell)["spec"]["template"]
    assert template["$patch"] == "replace"
    assert "env" not in template["spec"]["containers"][0]
    assert "pod-template-hash" not in template["metadata"]["labels"]
    assert "flux reconcile kustomization apps -n flux-system --with-source" in shell.run("handoff", "web").stderr


def test_handoff_reads_what_was_applied(shell: Shell) -> None:
    """`start --image` promoted; the file that was applied still has the old image."""
    web = shell.simulation.get(DEPLOYMENT, "web")
    applied = {"spec": {"template": web["spec"]["template"]}}
    web["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
    shell.simulation.replace(web)
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    shell.simulation.clock.run(10)
    done = shell.run("handoff", "web")
    assert "Git still asks for shop/web:1.0" in done.stdout
    assert shell.json("handoff", "web")["agrees"] is False


def test_handoff_in_mid_run_says_that_it_is_not_the_end(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    assert "this is what is stable until it ends" in shell.run("handoff", "web").stderr


def test_handoff_needs_a_target(shell: Shell) -> None:
    spec = {
        "service": "web",
        "traffic": {"stable": {"host": "web"}, "candidate": {"host": "web2"}},
        "steps": [{"weight": 50}],
    }
    shell.simulation.apply({**demo.PLAN, "spec": spec})
    assert shell.run("handoff", "web").exit_code == 4
