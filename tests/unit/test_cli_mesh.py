"""rollout mesh report, at a shop that is halfway in the mesh."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml

from rollout.adapters.mesh.istio import Istio
from rollout.adapters.mesh.istio.traffic import Labels
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CONFIGMAP,
    CRON_JOB,
    DESTINATION_RULE,
    MUTATING_WEBHOOK,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    Kind,
    Ref,
)
from rollout.plan.parse import from_object
from rollout.ports.mesh import Edge
from tests.kit.meshed import deployed, journey, service
from tests.kit.shell import Shell

NAMES = Labels()
DAY = 86_400.0


@pytest.fixture
def meshed(shell: Shell) -> Shell:
    """The shop of `journey`, with its traffic."""
    objects, edges = journey()
    for ref, _ in list(shell.simulation.objects):
        shell.simulation.objects.remove(ref)
    put(shell, *objects)
    traffic(shell, "shop", edges)
    return shell


def put(shell: Shell, *objects: Json) -> None:
    for obj in objects:
        shell.simulation.objects.put(obj)


def traffic(shell: Shell, namespace: str, edges: tuple[Edge, ...], window: float = DAY) -> None:
    requests, connections, past = Istio().questions(namespace, window)
    metrics = shell.simulation.metrics
    metrics.set_vector(requests.query, [(labels(it), it.amount) for it in edges if it.protocol != "tcp"])  # type: ignore[union-attr]
    metrics.set_vector(connections.query, [(labels(it), it.amount) for it in edges if it.protocol == "tcp"])  # type: ignore[union-attr]
    metrics.set_scalar(past.query, 1.0)  # type: ignore[union-attr]


def labels(edge: Edge) -> Mapping[str, str]:
    return {
        NAMES.source_namespace: edge.source.namespace or "unknown",
        NAMES.source: edge.source.name or "unknown",
        NAMES.principal: edge.source.principal or "unknown",
        NAMES.namespace: edge.namespace,
        NAMES.workload: edge.name,
        NAMES.protocol: edge.protocol,
        NAMES.security: "mutual_tls" if edge.secure else "none",
    }


def standings(shell: Shell, *words: str) -> dict[str, str]:
    return {it["name"]: it["standing"] for it in shell.json("mesh", "report", *words)["workloads"]}


def test_a_line_for_each_workload_and_a_fix_for_each_blocker(meshed: Shell) -> None:
    done = meshed.run("mesh", "report")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["WORKLOAD", "PROXIES", "REVISION", "MODE", "PLAINTEXT"]
    (web,) = [line for line in lines if line.startswith("deployment/web")]
    assert web.split()[:6] == ["deployment/web", "3/3", "default", "PERMISSIVE", "(namespace)", "2"]
    assert "✖ RO605 deployment/web: CronJob/report (next run 2026-02-01 00:00 UTC)" in done.stdout
    findings = [line for line in lines if line[:1] in ("✖", "⚠")]
    assert len(findings) == len([line for line in lines if line.startswith("    fix: ")])
    assert "8 workloads: 1 strict, 1 unproven, 5 blocked, 1 caller" in lines[-1]


def test_json_has_what_the_table_has_and_more(meshed: Shell) -> None:
    found = meshed.json("mesh", "report")
    assert (found["mesh"], found["namespace"], found["windowSeconds"]) == ("istio", "shop", DAY)
    web = next(it for it in found["workloads"] if it["name"] == "web")
    assert web["mtls"]["from"] == "PeerAuthentication/default in shop"
    assert web["plaintext"]["requests"] == {"total": 100_000.0, "plain": 2_000.0, "share": 0.02}
    assert web["plaintext"]["connections"] is None
    assert [(it["workload"], it["mtls"]) for it in web["callers"]] == [("front", True), (None, False)]
    assert [it["code"] for it in web["findings"]] == ["RO604", "RO605", "RO610"]
    assert yaml.safe_load(meshed.run("mesh", "report", "-o", "yaml").stdout) == found


def test_wide_tells_where_modes_come_from_and_what_the_next_pod_gets(meshed: Shell) -> None:
    wide = meshed.run("mesh", "report", "-o", "wide").stdout
    assert "PeerAuthentication/pay in shop" in wide
    assert "proxy default: its pods have the label sidecar.istio.io/inject=true" in wide


def test_a_longer_window_is_asked_for_and_clears_the_doubt(meshed: Shell) -> None:
    traffic(meshed, "shop", journey()[1], 31 * DAY)
    assert standings(meshed, "--window", "31d")["db"] == "ready"
    assert standings(meshed)["db"] == "unproven"


def test_a_suspended_cron_job_makes_no_window_too_short(meshed: Shell) -> None:
    report = meshed.simulation.get(CRON_JOB, "report")
    put(meshed, {**report, "spec": {**report["spec"], "suspend": True}})
    assert standings(meshed)["db"] == "ready"
    assert "CronJob/report (suspended)" in meshed.run("mesh", "report").stdout


def test_without_prometheus_the_rest_is_told(meshed: Shell) -> None:
    meshed.simulation.metrics.fault = "outage"
    done = meshed.run("mesh", "report")
    assert done.exit_code == 0
    assert "who sends plaintext\n    cannot be known: connection refused" in done.stdout
    assert "STRICT (workload), 9102 PERMISSIVE" in done.stdout
    assert meshed.json("mesh", "report")["traffic"] == {
        "known": False,
        "complete": False,
        "problem": "connection refused",
    }


def test_all_namespaces(meshed: Shell) -> None:
    far = deployed("far", plain=1)
    for obj in far:
        obj["metadata"]["namespace"] = "bank"
    put(meshed, *far, {**service("far"), "metadata": {"name": "far", "namespace": "bank"}})
    traffic(meshed, "", ())
    found = meshed.json("mesh", "report", "-A")
    assert found["namespace"] is None
    assert {it["namespace"] for it in found["workloads"]} == {"bank", "shop", "istio-system"}
    assert "deployment/far -n bank" in meshed.run("mesh", "report", "-A").stdout


@pytest.mark.parametrize(
    ("kind", "namespace", "said"),
    [
        (PEER_AUTHENTICATION, "istio-system", "peerauthentications in istio-system"),
        (DESTINATION_RULE, "", "destinationrules of the cluster (only those in shop)"),
        (MUTATING_WEBHOOK, "", "mutatingwebhookconfigurations of the cluster"),
        (NAMESPACE, "", "namespaces of the cluster"),
        (CONFIGMAP, "istio-system", "configmaps in istio-system"),
    ],
)
def test_what_may_not_be_read_is_said_and_the_rest_is_told(
    meshed: Shell, kind: Kind, namespace: str, said: str
) -> None:
    meshed.simulation.cluster.deny("list", kind, namespace)
    done = meshed.run("mesh", "report")
    assert done.exit_code == 0
    assert f"not seen, for want of rights: {said}" in done.stderr
    assert "deployment/web" in done.stdout


def test_workloads_that_may_not_be_read_end_it(meshed: Shell) -> None:
    meshed.simulation.cluster.deny("list", POD)
    done = meshed.run("mesh", "report")
    assert done.exit_code == 6
    assert "cannot list" in done.stderr


def test_a_cluster_without_the_mesh(meshed: Shell) -> None:
    meshed.simulation.cluster.server.unserved.add(PEER_AUTHENTICATION)
    done = meshed.run("mesh", "report")
    assert done.exit_code == 1
    assert "istio is not installed here" in done.stderr


def test_a_namespace_without_workloads(meshed: Shell) -> None:
    done = meshed.run("mesh", "report", "-n", "empty")
    assert (done.exit_code, done.stdout.strip()) == (0, "")
    assert "no workloads in namespace empty" in done.stderr


@pytest.mark.parametrize(
    "words", [("-A", "-n", "shop"), ("--mesh", "linkerd"), ("--window", "soon"), ("--window", "0s"), ("-o", "name")]
)
def test_usage_errors(meshed: Shell, words: tuple[str, ...]) -> None:
    done = meshed.run("mesh", "report", *words)
    assert done.exit_code == 2
    assert "next: " in done.stderr


def test_it_changes_nothing(meshed: Shell) -> None:
    before = meshed.simulation.objects.revision
    meshed.run("mesh", "report")
    assert meshed.simulation.objects.revision == before
    assert meshed.simulation.objects.get(Ref(POD, "shop", "web-1-0")) is not None


# -- policies


def test_policies_admit_whom_was_seen_with_an_identity_and_nobody_else(meshed: Shell) -> None:
    done = meshed.run("mesh", "policies", "-o", "json")
    assert done.exit_code == 0
    made = {it["metadata"]["name"]: it for it in meshed.json("mesh", "policies")}
    assert set(made) == {"web", "db", "pay"}
    assert made["web"]["spec"] == {
        "selector": {"matchLabels": {"app": "web"}},
        "action": "ALLOW",
        "rules": [{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/front"]}}]}],
    }
    assert "Deployment/web in shop: 2000 requests or connections came without an identity" in done.stderr
    assert "Deployment/cart in shop: no caller with an identity was seen" in done.stderr


def test_policies_are_yaml_that_a_plan_takes_with_the_callers_in_comments(meshed: Shell) -> None:
    text = meshed.run("mesh", "policies").stdout
    assert "# cluster.local/ns/shop/sa/front: 98000\n" in text
    documents = list(yaml.safe_load_all(text))
    assert documents == meshed.json("mesh", "policies")
    meta = {"name": "shop", "namespace": "shop"}
    stages = {"strict": {}, "authorize": {"policies": documents}}
    plan = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "MeshAdoptionPlan", "metadata": meta}
    assert from_object({**plan, "spec": {"stages": stages}})


def test_without_metrics_no_policy_is_made_up(meshed: Shell) -> None:
    meshed.simulation.metrics.fault = "outage"
    done = meshed.run("mesh", "policies")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "who called is not known" in done.stderr
