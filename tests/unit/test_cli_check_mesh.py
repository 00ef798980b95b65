"""`rollout check --mesh`: what it prints, as JSON too, and how it exits."""

from __future__ import annotations

import pytest

from rollout.plan.kinds import DEPLOYMENT, MUTATING_WEBHOOK, NAMESPACE, NETWORK_POLICY, POD
from tests.kit.adoption import inject, thing
from tests.kit.shell import Shell

OBJECTS = {"matchExpressions": [{"key": "sidecar.istio.io/inject", "operator": "In", "values": ["true"]}]}


@pytest.fixture
def shop(shell: Shell) -> Shell:
    """A namespace that nothing keeps out of the mesh, though some of it is doubtful."""
    hook = {"name": "object.sidecar-injector.istio.io", "failurePolicy": "Fail", "objectSelector": OBJECTS}
    shell.simulation.apply(thing(NAMESPACE, "shop"))
    shell.simulation.apply(thing(MUTATING_WEBHOOK, "istio-sidecar-injector", webhooks=[hook]))
    shell.simulation.cluster.server.webhooks[:] = [inject]  # in place of the control plane that is not installed here
    return shell


def test_warnings_do_not_fail(shop: Shell) -> None:
    before = shop.simulation.objects.revision
    done = shop.run("check", "--mesh", "-n", "shop")
    assert done.exit_code == 0, done.output
    for said in (
        "protocols\n---------\n√ ports of Services name their protocol",
        "‼ each unit has an identity of its own\n    warning [RO519] Deployment/web uses the service account default",
        "? hosts outside the mesh are known to it\n    which hosts are called was not observed",
        "dry run\n-------\n√ a pod of each workload is admitted with its proxy",
        "Status check results are ‼",
    ):
        assert said in done.stdout
    assert shop.simulation.objects.revision == before


def test_errors_fail_and_their_fix_is_one_line_to_paste(shop: Shell) -> None:
    shop.simulation.apply(thing(NETWORK_POLICY, "lockdown", {"podSelector": {}, "policyTypes": ["Egress"]}))
    done = shop.run("check", "--mesh")
    assert done.exit_code == 1
    assert "× NetworkPolicies let proxies work" in done.stdout
    fixes = [line for line in done.stdout.splitlines() if "kubectl patch networkpolicies.networking.k8s.io" in line]
    assert len(fixes) == 2
    assert all(line.endswith("'") for line in fixes)


def test_an_injector_that_is_not_there_is_seen_twice(shop: Shell) -> None:
    shop.simulation.cluster.server.webhooks.clear()
    body = shop.json("check", "--mesh", "--revision", "canary")
    found = {it["id"]: it for category in body["categories"] for it in category["checks"]}
    assert body["ok"] is False
    assert found["dry-run"]["findings"][0]["code"] == "RO530"
    assert "istio.io/rev=canary" in found["dry-run"]["findings"][0]["message"]
    assert found["PF14"]["state"] == "skipped"
    assert [it["name"] for it in body["categories"]][:3] == ["workloads", "protocols", "pods"]


def test_short_output_leaves_out_what_is_good(shop: Shell) -> None:
    lines = shop.run("check", "--mesh", "-o", "short").stdout.splitlines()
    assert not [line for line in lines if line.startswith("√")]


def test_what_may_not_be_seen_is_skipped_with_the_reason(shop: Shell) -> None:
    shop.simulation.cluster.deny("list", NETWORK_POLICY)
    shop.simulation.cluster.deny("create", POD)
    done = shop.run("check", "--mesh")
    assert done.exit_code == 0
    assert "? NetworkPolicies let proxies work\n    networkpolicies cannot be seen: " in done.stdout
    assert "you may not create pods in shop" in done.stdout


def test_a_namespace_without_workloads_is_good(shop: Shell) -> None:
    shop.simulation.delete(DEPLOYMENT, "web")
    shop.simulation.run(60)
    assert shop.run("check", "--mesh").exit_code == 0


def test_a_namespace_that_is_not_there(shell: Shell) -> None:
    done = shell.run("check", "--mesh", "-n", "nowhere")
    assert done.exit_code == 1
    assert "there is no namespace nowhere" in done.stderr


@pytest.mark.parametrize("words", [["web", "--mesh"], ["--mesh", "--pre"], ["--revision", "canary"]])
def test_contradicting_words_are_usage_errors(shop: Shell, words: list[str]) -> None:
    assert shop.run("check", *words).exit_code == 2
