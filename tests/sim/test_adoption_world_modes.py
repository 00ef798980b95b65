"""The simulated world of an adoption: whom modes refuse, and whom policies."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.mesh import Cause
from rollout.plan.base import Json
from rollout.plan.kinds import AUTHORIZATION_POLICY, CRON_JOB, DESTINATION_RULE, PEER_AUTHENTICATION
from tests.kit.adopted import NO_IDENTITY, SHOP, Adopted, peers, rules

# -- modes


@pytest.mark.parametrize("mode", ["PERMISSIVE", "DISABLE"])
def test_plaintext_is_accepted_unless_it_is_strict(meshed: Adopted, mode: str) -> None:
    meshed.memory.apply(peers(mode))
    meshed.memory.run(400)
    assert meshed.sent("legacy") > 1000
    assert meshed.memory.traffic.ledger.failed == 0


def test_strict_refuses_plaintext_only_and_undoing_it_accepts_it_again(meshed: Adopted) -> None:
    meshed.memory.apply(peers("STRICT"))
    meshed.memory.run(310)
    assert meshed.failed("legacy", Cause.REFUSED) == meshed.sent("legacy") > 1000
    assert [meshed.failed(it) for it in ("front", "agent", "report")] == [0, 0, 0]
    assert meshed.sent("report") > 0
    meshed.memory.delete(PEER_AUTHENTICATION, "default")
    meshed.memory.traffic.fresh_ledger()
    meshed.memory.run(30)
    assert meshed.memory.traffic.ledger.failed == 0


def test_strict_means_nothing_where_there_is_no_proxy(scene: Adopted) -> None:
    scene.memory.apply(peers("STRICT"))
    scene.memory.run(20)
    assert scene.memory.traffic.ledger.failed == 0


def test_an_unmeshed_job_is_refused_too(meshed: Adopted) -> None:
    job = meshed.memory.get(CRON_JOB, "report")
    del job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"]
    meshed.memory.replace(job)
    meshed.memory.apply(peers("STRICT"))
    meshed.memory.run(310)
    assert meshed.failed("report", Cause.REFUSED) == meshed.sent("report") > 10


def test_strict_on_one_pod_by_a_live_label(meshed: Adopted) -> None:
    pod = meshed.pods("web")[0]
    meshed.memory.apply(peers("PERMISSIVE"))
    meshed.memory.apply(peers("STRICT", "web-strict", selector={"matchLabels": {"strict": "yes"}}))
    meshed.memory.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**pod["metadata"], "labels": {"strict": "yes"}}}
    )
    meshed.memory.run(30)
    sent, failed = meshed.sent("legacy"), meshed.failed("legacy", Cause.REFUSED)
    assert failed / sent == pytest.approx(1 / 3, abs=0.02)
    assert meshed.pods("web")[0]["metadata"]["uid"] == pod["metadata"]["uid"], "no pod was made anew"


def test_a_port_is_excepted_and_the_mesh_and_workload_count_by_nearness(meshed: Adopted) -> None:
    web = {"matchLabels": {"app": "web"}}
    meshed.memory.apply(peers("STRICT", namespace="istio-system"))
    meshed.memory.run(10)
    assert meshed.failed("legacy", Cause.REFUSED) > 0
    for excused in (
        peers("STRICT", "web", selector=web, portLevelMtls={"8080": {"mode": "PERMISSIVE"}}),
        peers("PERMISSIVE", "web", selector=web),
        peers("PERMISSIVE"),
    ):
        meshed.memory.apply(excused)
        meshed.memory.run(1)
        meshed.memory.traffic.fresh_ledger()
        meshed.memory.run(10)
        assert meshed.memory.traffic.ledger.failed == 0, excused
        meshed.memory.delete(PEER_AUTHENTICATION, excused["metadata"]["name"])


def test_a_rule_that_turns_mtls_off_breaks_meshed_callers_under_strict(meshed: Adopted) -> None:
    kind = DESTINATION_RULE
    meta = {"name": "plain", "namespace": SHOP}
    spec = {"host": "web", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    meshed.memory.apply({"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec})
    meshed.memory.run(10)
    assert meshed.memory.traffic.ledger.failed == 0
    meshed.memory.apply(peers("STRICT"))
    meshed.memory.run(10)
    assert meshed.failed("agent", Cause.REFUSED) > 0


async def test_a_strict_that_came_and_went_between_two_looks_is_noticed(meshed: Adopted) -> None:
    meshed.memory.apply(peers("STRICT"))
    meshed.memory.delete(PEER_AUTHENTICATION, "default")
    meshed.memory.run(10)
    assert meshed.failed("legacy", Cause.REFUSED) > 0
    assert meshed.failed("front") == 0


# -- authorization


def test_deny_without_identity_refuses_what_strict_would_and_a_dry_run_does_not(meshed: Adopted) -> None:
    meshed.memory.apply(rules("shadow", dry=True, **NO_IDENTITY))
    meshed.memory.run(20)
    assert meshed.memory.traffic.ledger.failed == 0
    meshed.memory.apply(rules("shadow", **NO_IDENTITY))
    meshed.memory.run(20)
    assert meshed.failed("legacy", Cause.DENIED) > 0
    assert meshed.failed("front") == meshed.failed("agent") == 0


async def test_dry_runs_are_counted_at_the_server(meshed: Adopted) -> None:
    meshed.memory.apply(rules("shadow", dry=True, **NO_IDENTITY))
    meshed.memory.run(20)
    denied = 'sum(envoy_http_rbac{authz_dry_run_action="deny",authz_dry_run_result="%s",destination_workload="web"})'
    assert await meshed.scalar(denied % "denied") == meshed.sent("legacy") == 100
    assert await meshed.scalar(denied % "allowed") == 880
    tcp = 'sum(envoy_tcp{destination_workload="db",authz_dry_run_result="denied"})'
    assert await meshed.scalar(tcp) is None
    meshed.memory.delete(AUTHORIZATION_POLICY, "shadow")
    before = await meshed.scalar(denied % "denied")
    meshed.memory.run(20)
    assert await meshed.scalar(denied % "denied") == before


def test_allow_admits_whom_it_names_and_nothing_admits_nobody(meshed: Adopted) -> None:
    front = {"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/front"]}}]}
    web = {"matchLabels": {"app": "web"}}
    meshed.memory.apply(rules("web", dry=True, selector=web, action="ALLOW", rules=[front]))
    meshed.memory.run(20)
    assert meshed.memory.traffic.ledger.failed == 0
    meshed.memory.apply(rules("web", selector=web, action="ALLOW", rules=[front]))
    meshed.memory.run(20)
    assert meshed.failed("front") == 0
    assert meshed.failed("agent", Cause.DENIED) > 0
    assert meshed.failed("legacy", Cause.DENIED) > 0
    meshed.memory.apply(rules("nobody"))
    meshed.memory.traffic.fresh_ledger()
    meshed.memory.run(20)
    assert 0 < meshed.failed("front", Cause.DENIED) < meshed.sent("front"), "the greeter and db are closed, web is not"


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ({"from": [{"source": {"namespaces": ["shop"]}}]}, {"legacy"}),
        ({"from": [{"source": {"notNamespaces": ["shop"]}}]}, {"front", "agent"}),
        ({"from": [{"source": {"serviceAccounts": ["shop/agent"]}}]}, {"front", "legacy"}),
        ({"to": [{"operation": {"ports": ["8080"]}}]}, set()),
        ({"to": [{"operation": {"notPorts": ["8080"]}}]}, {"front", "agent", "legacy"}),
        ({"to": [{"operation": {"methods": ["GET"], "paths": ["/*"]}}]}, set()),
        ({"to": [{"operation": {"methods": ["POST"]}}]}, {"front", "agent", "legacy"}),
        ({"from": [{"source": {"principals": ["*/sa/front"]}}]}, {"agent", "legacy"}),
        ({}, set()),
    ],
)
def test_what_rules_match(meshed: Adopted, rule: Json, refused: set[str]) -> None:
    web = {"matchLabels": {"app": "web"}}
    meshed.memory.apply(rules("web", selector=web, rules=[rule]))
    meshed.memory.run(10)
    assert {it for it in ("front", "agent", "legacy") if meshed.failed(it, Cause.DENIED)} == refused
