"""The simulated world knows what an adoption can break and see: proxies, modes, policies, and their counters."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.mesh import Cause
from rollout.adapters.memory.traffic import FAST
from rollout.adapters.mesh.istio import traffic
from rollout.observe.survey import Survey
from rollout.plan.base import Json
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    JOB,
    PEER_AUTHENTICATION,
    STATEFUL_SET,
    Ref,
)
from rollout.ports.mesh import Carrier, Edge, Mode
from rollout.ports.metrics import CountAsk, ScalarAsk, VectorAsk
from tests.kit.adopted import NO_IDENTITY, SHOP, Adopted, peers, rules, space

LABELS = traffic.Labels()
WEB, FRONT = Ref(DEPLOYMENT, SHOP, "web"), Ref(DEPLOYMENT, SHOP, "front")


@pytest.fixture
def scene() -> Adopted:
    return Adopted()


@pytest.fixture
def meshed() -> Adopted:
    scene = Adopted()
    scene.enrol_all()
    scene.memory.traffic.fresh_ledger()
    return scene


def proxied(pods: list[Json]) -> list[bool]:
    return ["security.istio.io/tlsMode" in pod["metadata"]["labels"] for pod in pods]


async def scalar(scene: Adopted, query: str) -> float | None:
    ask = ScalarAsk(query)
    return (await scene.memory.metrics.ask([ask]))[ask].value


def edges(survey: Survey, name: str) -> dict[tuple[str, bool], Edge]:
    return {(it.source.name, it.secure): it for it in survey.traffic.edges if it.name == name}


# -- injection


async def test_nothing_is_in_the_mesh_before_somebody_asks(scene: Adopted) -> None:
    scene.memory.run(60)
    survey = await scene.survey()
    assert [(it.revision, it.ready) for it in survey.planes] == [("default", True)]
    assert {it.name for it in survey.units} >= {"web", "front", "greeter", "db", "agent", "report"}
    assert not any(survey.views[it.ref].meshed for it in survey.units)
    assert not survey.traffic.edges, "there is no mesh metric before the first proxy"
    assert scene.memory.traffic.ledger.failed == 0


async def test_enrolled_pods_get_a_native_proxy_and_no_request_is_lost(meshed: Adopted) -> None:
    meshed.memory.run(30)
    survey = await meshed.survey()
    for unit in survey.units:
        carriers = {(it.carrier, it.ready, it.revision) for it in survey.views[unit.ref].proxies}
        assert carriers <= {(Carrier.NATIVE, True, "default")}, unit
        assert survey.views[unit.ref].meshed, unit
    assert meshed.memory.traffic.ledger.failed == 0


def test_enrolling_every_kind_loses_no_request(scene: Adopted) -> None:
    scene.enrol_all()
    assert scene.memory.traffic.ledger.failed == 0
    for name, count in (("web", 3), ("front", 2), ("greeter", 2), ("db", 2), ("agent", 1)):
        assert proxied(scene.pods(name)) == [True] * count


def test_a_namespace_that_asks_gives_a_proxy_to_pods_that_are_made_anew(scene: Adopted) -> None:
    scene.memory.apply(space(SHOP, **{"istio-injection": "enabled"}))
    scene.memory.run(20)
    assert proxied(scene.pods("web")) == [False] * 3
    scene.memory.kill_pod(scene.pods("web")[0]["metadata"]["name"])
    scene.memory.run(20)
    assert sorted(proxied(scene.pods("web"))) == [False, False, True]


def test_the_webhook_fails_creations_while_istiod_is_down(scene: Adopted) -> None:
    scene.memory.scale("istiod", 0, namespace="istio-system")
    scene.memory.run(10)
    scene.enrol(DEPLOYMENT, "web")
    scene.memory.run(30)
    assert proxied(scene.pods("web")) == [False] * 3
    failed = [c for c in scene.memory.get(DEPLOYMENT, "web")["status"]["conditions"] if c["type"] == "ReplicaFailure"]
    assert "failed calling webhook" in failed[0]["message"]
    assert scene.memory.traffic.ledger.failed == 0


def test_a_proxy_that_never_gets_ready_keeps_the_old_pods_and_going_back_helps(scene: Adopted) -> None:
    scene.memory.behaviour("shop/web:1.0", Behaviour(proxy_never_ready=True))
    scene.enrol(DEPLOYMENT, "web")
    scene.memory.run(60)
    stuck = [pod for pod in scene.pods("web") if proxied([pod])[0]]
    assert [it["status"]["phase"] for it in stuck] == ["Pending"]
    assert [it["status"]["initContainerStatuses"][0]["ready"] for it in stuck] == [False]
    before = scene.before[str(WEB)]
    scene.memory.replace({**scene.memory.get(DEPLOYMENT, "web"), "spec": before["spec"]})
    scene.memory.run(30)
    assert proxied(scene.pods("web")) == [False] * 3
    assert scene.owned() == scene.before
    assert scene.memory.traffic.ledger.failed == 0


def test_a_stateful_set_rolls_from_the_last_pod_and_stops_at_one_that_is_not_ready(scene: Adopted) -> None:
    scene.memory.behaviour("shop/db:1.0", Behaviour(proxy_never_ready=True))
    scene.enrol(STATEFUL_SET, "db")
    scene.memory.run(60)
    assert proxied(scene.pods("db")) == [False, True]
    status = scene.memory.get(STATEFUL_SET, "db")["status"]
    assert (status["updatedReplicas"], status["readyReplicas"]) == (1, 1)
    assert status["currentRevision"] != status["updateRevision"]
    scene.memory.replace(
        {**scene.memory.get(STATEFUL_SET, "db"), "spec": scene.before["StatefulSet/db in shop"]["spec"]}
    )
    scene.memory.run(60)
    assert proxied(scene.pods("db")) == [False, True], "kubernetes#67250: the stuck pod has to be deleted by somebody"
    scene.memory.kill_pod("db-1")
    scene.memory.run(30)
    assert proxied(scene.pods("db")) == [False, False]
    assert scene.memory.get(STATEFUL_SET, "db")["status"]["readyReplicas"] == 2


def test_a_partition_keeps_lower_pods_as_they_are(scene: Adopted) -> None:
    scene.memory.apply(
        {
            **{key: scene.memory.get(STATEFUL_SET, "db")[key] for key in ("apiVersion", "kind")},
            "metadata": {"name": "db", "namespace": SHOP},
            "spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        }
    )
    scene.enrol(STATEFUL_SET, "db")
    scene.memory.run(60)
    assert proxied(scene.pods("db")) == [False, True]
    scene.memory.kill_pod("db-0")
    scene.memory.run(30)
    assert proxied(scene.pods("db")) == [False, True]


def test_a_daemon_set_replaces_its_pod(scene: Adopted) -> None:
    before = scene.pods("agent")[0]["metadata"]["uid"]
    scene.enrol(DAEMON_SET, "agent")
    scene.memory.run(30)
    (pod,) = scene.pods("agent")
    assert pod["metadata"]["uid"] != before
    status = scene.memory.get(DAEMON_SET, "agent")["status"]
    assert (status["updatedNumberScheduled"], status["numberReady"]) == (1, 1)


def test_a_cron_job_runs_when_it_is_due_calls_and_ends(scene: Adopted) -> None:
    scene.memory.run(300)
    jobs = scene.memory.objects.of(JOB, SHOP)
    assert len(jobs) == 1
    assert scene.sent("report") > 10
    scene.memory.run(240)
    assert jobs[0]["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    (job,) = scene.memory.objects.of(JOB, SHOP)
    assert job["status"]["conditions"][0]["type"] == "Complete"
    assert scene.sent("report") < 60
    scene.memory.run(1500)
    assert len(scene.memory.objects.of(JOB, SHOP)) <= 4, "only the last three are kept"
    assert scene.failed("report") == 0


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
    assert await scalar(meshed, denied % "denied") == meshed.sent("legacy") == 100
    assert await scalar(meshed, denied % "allowed") == 880
    tcp = 'sum(envoy_tcp_rbac{destination_workload="db",authz_dry_run_result="denied"})'
    assert await scalar(meshed, tcp) is None
    meshed.memory.delete(AUTHORIZATION_POLICY, "shadow")
    before = await scalar(meshed, denied % "denied")
    meshed.memory.run(20)
    assert await scalar(meshed, denied % "denied") == before


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


# -- metrics, as the driver reads them


async def test_callers_are_named_if_they_have_an_identity(meshed: Adopted) -> None:
    meshed.memory.run(300)
    survey = await meshed.survey(window=240)
    web = edges(survey, "web")
    assert set(web) == {("front", True), ("agent", True), ("report", True), ("", False)}
    assert web["front", True].source.principal == "spiffe://cluster.local/ns/shop/sa/front"
    assert web["front", True].amount == pytest.approx(240 * 40, rel=0.02)
    assert web["", False].amount == pytest.approx(240 * 5, rel=0.02)
    assert {(it.name, it.protocol) for it in survey.traffic.edges} == {
        ("web", "http"),
        ("greeter", "grpc"),
        ("db", "tcp"),
    }
    assert survey.traffic.complete
    assert not (await meshed.survey(window=4000)).traffic.complete


async def test_the_survey_reads_modes_from_the_same_objects(meshed: Adopted) -> None:
    meshed.memory.apply(peers("STRICT", "web", selector={"matchLabels": {"app": "web"}}))
    meshed.memory.run(5)
    survey = await meshed.survey()
    modes = {it.name: survey.views[it.ref].mtls.workload.mode for it in survey.units}
    assert (modes["web"], modes["db"]) == (Mode.STRICT, Mode.PERMISSIVE)


async def test_refused_callers_are_seen_in_the_volume_and_not_in_the_success(meshed: Adopted) -> None:
    meshed.memory.run(60)
    share = traffic.plain_share(LABELS, SHOP, 30)
    ask = VectorAsk(share)
    found = (await meshed.memory.metrics.ask([ask]))[ask].series
    assert {it.labels["destination_workload"]: it.value for it in found if it.value} == {
        "web": pytest.approx(5 / 49, rel=0.05)
    }
    volume = traffic.volume(LABELS, LABELS.requests, SHOP, "web", 20, 40)
    assert await scalar(meshed, volume) == pytest.approx(1, rel=0.02)
    meshed.memory.apply(peers("STRICT"))
    meshed.memory.run(30)
    assert await scalar(meshed, volume) == pytest.approx(44 / 49, rel=0.02)
    count = CountAsk("success", SHOP, "web")
    reading = (await meshed.memory.metrics.ask([count]))[count]
    assert sum(bad for _, bad in reading.pods.values()) == 0


async def test_meshed_callers_tell_what_they_did_not_get_through(meshed: Adopted) -> None:
    failures = traffic.client_failures(LABELS, SHOP, 20)
    assert await scalar(meshed, failures) is None
    meshed.memory.apply(peers("STRICT"))
    kind = DESTINATION_RULE
    spec = {"host": "web.shop.svc.cluster.local", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    meta = {"name": "plain", "namespace": SHOP}
    meshed.memory.apply({"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec})
    meshed.memory.run(40)
    ask = VectorAsk(failures)
    told = {it.labels["source_workload"]: it.value for it in (await meshed.memory.metrics.ask([ask]))[ask].series}
    assert told == {"front": pytest.approx(40, rel=0.1), "agent": pytest.approx(4, rel=0.1)}


async def test_a_slow_proxy_is_seen_in_the_latency(meshed: Adopted) -> None:
    ask = CountAsk("slow", SHOP, "web", slower_than=0.1)
    assert {bad for _, bad in (await meshed.memory.metrics.ask([ask]))[ask].pods.values()} == {0.0}
    meshed.memory.behaviour("shop/web:1.0", Behaviour(proxy_seconds=0.2))
    meshed.memory.run(40)
    p50 = "histogram_quantile(0.5, sum by (le) (rate(istio_request_duration_milliseconds_bucket{%s}[20s])))"
    found = await scalar(meshed, p50 % 'reporter="destination",destination_workload="web"')
    assert found is not None
    assert 100 < found <= 250
    assert FAST < 0.1


async def test_what_proxies_cost_is_measured(meshed: Adopted) -> None:
    meshed.memory.run(30)
    cpu = 'max(rate(container_cpu_usage_seconds_total{namespace="shop",container="istio-proxy"}[20s]))'
    assert await scalar(meshed, cpu) == pytest.approx(0.02)
    memory = 'max(container_memory_working_set_bytes{namespace="shop",container="istio-proxy"})'
    assert await scalar(meshed, memory) == 60e6


async def test_a_pod_that_is_made_anew_counts_from_nothing(meshed: Adopted) -> None:
    meshed.memory.run(10)
    before = await scalar(meshed, 'sum(istio_tcp_connections_opened_total{reporter="destination",pod="db-1"})')
    meshed.memory.kill_pod("db-1")
    meshed.memory.run(10)
    after = await scalar(meshed, 'sum(istio_tcp_connections_opened_total{reporter="destination",pod="db-1"})')
    assert before is not None
    assert after is not None
    assert after < before


async def test_the_same_seed_gives_the_same_world() -> None:
    def told() -> object:
        scene = Adopted(seed=5)
        scene.enrol_all()
        scene.memory.apply(peers("STRICT"))
        scene.memory.run(60)
        ledger = scene.memory.traffic.ledger
        return (
            ledger.by_source,
            ledger.by_workload,
            ledger.failures,
            [it["metadata"]["name"] for it in scene.pods("web")],
        )

    assert told() == told()
