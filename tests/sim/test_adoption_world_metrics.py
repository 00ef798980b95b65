"""The simulated world of an adoption: its counters, as the driver reads them."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.traffic import FAST
from rollout.adapters.mesh.istio import traffic
from rollout.observe.survey import Survey
from rollout.plan.kinds import DESTINATION_RULE
from rollout.ports.mesh import Edge, Mode
from rollout.ports.metrics import CountAsk, VectorAsk
from tests.kit.adopted import SHOP, Adopted, peers

LABELS = traffic.Labels()


def edges(survey: Survey, name: str) -> dict[tuple[str, bool], Edge]:
    return {(it.source.name, it.secure): it for it in survey.traffic.edges if it.name == name}


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
    assert await meshed.scalar(volume) == pytest.approx(1, rel=0.02)
    meshed.memory.apply(peers("STRICT"))
    meshed.memory.run(30)
    assert await meshed.scalar(volume) == pytest.approx(44 / 49, rel=0.02)
    count = CountAsk("success", SHOP, "web")
    reading = (await meshed.memory.metrics.ask([count]))[count]
    assert sum(bad for _, bad in reading.pods.values()) == 0


async def test_meshed_callers_tell_what_they_did_not_get_through(meshed: Adopted) -> None:
    failures = traffic.client_failures(LABELS, SHOP, 20)
    assert await meshed.scalar(failures) is None
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
    found = await meshed.scalar(p50 % 'reporter="destination",destination_workload="web"')
    assert found is not None
    assert 100 < found <= 250
    assert FAST < 0.1


async def test_what_proxies_cost_is_measured(meshed: Adopted) -> None:
    meshed.memory.run(30)
    cpu = 'max(rate(container_cpu_usage_seconds_total{namespace="shop",container="istio-proxy"}[20s]))'
    assert await meshed.scalar(cpu) == pytest.approx(0.02)
    memory = 'max(container_memory_working_set_bytes{namespace="shop",container="istio-proxy"})'
    assert await meshed.scalar(memory) == 60e6


async def test_a_pod_that_is_made_anew_counts_from_nothing(meshed: Adopted) -> None:
    meshed.memory.run(10)
    before = await meshed.scalar('sum(istio_tcp_connections_opened_total{reporter="destination",pod="db-1"})')
    meshed.memory.kill_pod("db-1")
    meshed.memory.run(10)
    after = await meshed.scalar('sum(istio_tcp_connections_opened_total{reporter="destination",pod="db-1"})')
    assert before is not None
    assert after is not None
    assert after < before
