"""The questions to Prometheus word by word, and their answers as edges."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.adapters.mesh.istio import Istio
from rollout.adapters.mesh.istio import traffic as it
from rollout.plan.gate import Provider
from rollout.ports.mesh import Peer, Traffic
from rollout.ports.metrics import Ask, Reading, Series

LABELS = it.Labels()
DAY = 86_400.0


def answer(**labels: str) -> dict[str, str]:
    return {
        "source_workload_namespace": "unknown",
        "source_workload": "unknown",
        "source_principal": "unknown",
        "destination_workload_namespace": "shop",
        "destination_workload": "web",
        "request_protocol": "http",
        "connection_security_policy": "none",
        **labels,
    }


def asked(requests: Reading, connections: Reading, past: Reading) -> Traffic:
    mesh = Istio()
    questions = mesh.questions("shop", DAY)
    readings: Mapping[Ask, Reading] = dict(zip(questions, (requests, connections, past), strict=True))
    return mesh.traffic(questions, DAY, readings)


def vector(*series: tuple[dict[str, str], float]) -> Reading:
    return Reading("value", "q", series=tuple(Series(labels, value) for labels, value in series))


NOTHING, PAST = Reading("no-data", "q"), Reading("value", "q", value=1.0)


def test_the_question_about_callers() -> None:
    chosen = 'istio_requests_total{reporter="destination",destination_workload_namespace="shop"}'
    assert it.callers(LABELS, LABELS.requests, "shop", DAY) == (
        "sum by (source_workload_namespace,source_workload,source_principal,destination_workload_namespace,"
        "destination_workload,request_protocol,connection_security_policy) "
        f"((max_over_time({chosen}[86400s]) unless {chosen} offset 86400s) or increase({chosen}[86400s]))"
    )


def test_all_namespaces_are_one_matcher_less() -> None:
    assert 'istio_tcp_connections_opened_total{reporter="destination"}' in it.callers(
        LABELS, LABELS.connections, "", 60.0
    )


def test_the_share_of_plaintext_by_workload() -> None:
    def grown(chosen: str) -> str:
        by = "sum by (destination_workload_namespace,destination_workload)"
        return f"{by} ((max_over_time({chosen}[60s]) unless {chosen} offset 60s) or increase({chosen}[60s]))"

    every = 'istio_requests_total{reporter="destination",destination_workload_namespace="shop"}'
    plain = every.replace("}", ',connection_security_policy!="mutual_tls"}')
    assert it.plain_share(LABELS, "shop", 60.0) == (f"({grown(plain)} or 0 * {grown(every)}) / {grown(every)}")


def test_failures_are_told_by_callers_and_volume_by_servers() -> None:
    assert it.client_failures(LABELS, "shop", 300.0) == (
        "sum by (source_workload_namespace,source_workload,response_flags) "
        '(rate(istio_requests_total{reporter="source",destination_service_namespace="shop",'
        'response_flags=~"UF.*|UC|UH|NR|URX|UO|DPE"}[300s]))'
    )
    chosen = (
        'istio_requests_total{reporter="destination",destination_workload_namespace="shop",destination_workload="web"}'
    )
    assert it.volume(LABELS, LABELS.requests, "shop", "web", 600.0, 3600.0) == (
        f"sum(rate({chosen}[600s])) / sum(rate({chosen}[600s] offset 3600s))"
    )


def test_label_names_can_be_others() -> None:
    renamed = it.Labels(workload="server", reporter="side")
    assert 'side="destination"' in it.callers(renamed, renamed.requests, "shop", 60.0)
    (edge,) = it.edges(renamed, [Series({**answer(), "server": "db"}, 1.0)], connections=False)
    assert edge.name == "db"


def test_a_provider_goes_with_every_question() -> None:
    provider = Provider(address="http://prometheus")
    assert {ask.provider for ask in Istio().questions("shop", DAY, provider)} == {provider}


def test_answers_are_edges_largest_first() -> None:
    meshed = answer(
        source_workload="front",
        source_workload_namespace="shop",
        source_principal="spiffe://cluster.local/ns/shop/sa/front",
        connection_security_policy="mutual_tls",
    )
    seen = asked(vector((answer(), 12.0), (meshed, 400.0)), vector((answer(), 3.0)), PAST)
    first, second, third = seen.edges
    assert (first.source.name, first.secure, first.amount) == ("front", True, 400.0)
    assert (second.source, second.secure, second.protocol) == (Peer(), False, "http")
    assert (third.protocol, third.amount) == ("tcp", 3.0)
    assert (seen.problem, seen.complete) == ("", True)


def test_a_caller_that_has_a_name_but_no_mtls_keeps_its_name() -> None:
    seen = asked(vector((answer(source_workload="front", source_workload_namespace="shop"), 1.0)), NOTHING, PAST)
    assert seen.edges[0].source == Peer("shop", "front", "")
    assert not seen.edges[0].secure


def test_series_without_a_server_or_without_traffic_are_no_edges() -> None:
    assert asked(vector((answer(destination_workload="unknown"), 9.0), (answer(), 0.0)), NOTHING, PAST).edges == ()


def test_no_data_is_no_traffic_and_no_problem_but_an_outage_is() -> None:
    seen = asked(NOTHING, NOTHING, PAST)
    assert (seen.edges, seen.problem) == ((), "")
    for broken in (
        (Reading("unknown", "q", detail="refused"), NOTHING),
        (NOTHING, Reading("unknown", "q", detail="refused")),
    ):
        seen = asked(*broken, PAST)
        assert (seen.edges, seen.problem) == ((), "refused")


def test_metrics_that_do_not_reach_back_are_incomplete() -> None:
    for past in (NOTHING, Reading("unknown", "q", detail="refused")):
        assert not asked(vector((answer(), 1.0)), NOTHING, past).complete
