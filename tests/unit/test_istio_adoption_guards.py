"""The gates: what they say of traffic that was made up, sampled every 5 s, and asked as a Prometheus would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from rollout.adapters.memory.promql import answer
from rollout.adapters.memory.series import Key, SeriesStore, labelled
from rollout.adapters.mesh.istio import Istio
from rollout.decide.gates import reaching
from rollout.plan.gate import MetricLabels
from rollout.plan.program import Adoption, Gate, QueryGate, UnitName
from rollout.plan.run import GateState, Look

HERE, WEB = Adoption("shop", "mesh-1"), UnitName("Deployment", "web")
GUARDS: Final = Istio().guards(HERE, MetricLabels(), None)
EVERY = 15.0
END, CHANGE = 900, 840
"""Now, and when the step changed something."""
AT_WEB = {"reporter": "destination", "destination_workload_namespace": "shop", "destination_workload": "web"}
REQUESTS, CONNECTIONS = "istio_requests_total", "istio_tcp_connections_opened_total"
OK = {**AT_WEB, "response_code": "200", "request_protocol": "http", "source_workload": "front"}
FROM_FRONT = {
    "reporter": "source",
    "destination_service_namespace": "shop",
    "destination_service_name": "web",
    "source_workload": "front",
    "source_workload_namespace": "shop",
}

Course = Callable[[int], float | None]
"""A counter over time; None where it is not there."""


def steady(rate: float, until: int = END + 1, since: int = 0, start: float = 1000.0) -> Course:
    """Grows by so many a second between two moments; it is there before and after, too."""
    return lambda now: start + rate * (min(now, until) - min(now, since))


def between(course: Course, since: int = 0, until: int = END + 1) -> Course:
    """Is there only between two moments."""
    return lambda now: course(now) if since <= now < until else None


def store(*series: tuple[str, Mapping[str, str], Course], up: Course = lambda now: 1.0) -> SeriesStore:
    found = SeriesStore()
    keys = [(Key(name, labelled(labels)), course) for name, labels, course in (*series, ("up", {"job": "x"}, up))]
    for now in range(0, END + 1, 5):
        values = ((key, course(now)) for key, course in keys)
        found.sample(float(now), [(key, value) for key, value in values if value is not None])
    return found


def asked(gate: Gate, metrics: SeriesStore) -> float | None:
    """The one number that a gate's query gives, or None."""
    assert isinstance(gate, QueryGate)
    found = answer(reaching(gate, GateState(), END, END), metrics, float(END))
    assert isinstance(found, list), "an instant vector"
    assert len(found) <= 1, "one series"
    assert not found or not found[0][0], "without labels"
    return found[0][1] if found else None


def verdict(name: str, metrics: SeriesStore, unit: UnitName | None = WEB) -> str:
    gates = {it.name: it for it in (*GUARDS.always(unit, EVERY), *GUARDS.locked(unit, EVERY))}
    return judged(gates[name], metrics)


def judged(gate: Gate, metrics: SeriesStore) -> str:
    value = asked(gate, metrics)
    assert isinstance(gate, QueryGate)
    if value is None or value != value:  # not a number is no data
        return gate.on_no_data
    low, high = gate.min is not None and value < gate.min, gate.max is not None and value > gate.max
    return "fail" if low or high else "pass"


QUIET = store()
BUSY = store((REQUESTS, OK, steady(10)), (REQUESTS, {**FROM_FRONT, "response_flags": "-"}, steady(10)))


@pytest.mark.parametrize("unit", [WEB, None], ids=str)
@pytest.mark.parametrize("metrics", [QUIET, BUSY], ids=["quiet", "busy"])
@pytest.mark.parametrize("name", ["success", "latency", "volume", "callers", "refused", "connections"])
def test_without_traffic_and_with_good_traffic_all_pass(name: str, metrics: SeriesStore, unit: UnitName | None) -> None:
    assert verdict(name, metrics, unit) == "pass"


@pytest.mark.parametrize(
    ("labels", "rate", "expected"),
    [
        ({"response_code": "503"}, 0.05, "pass"),
        ({"response_code": "503"}, 0.5, "fail"),
        ({"response_code": "200", "grpc_response_status": "14"}, 0.5, "fail"),
        ({"response_code": "200", "grpc_response_status": "5"}, 0.5, "pass"),
        ({"response_code": "404"}, 5, "pass"),
    ],
)
def test_success_is_what_the_server_did_not_fail(labels: Mapping[str, str], rate: float, expected: str) -> None:
    other = (REQUESTS, {**OK, **labels}, steady(rate))
    assert verdict("success", store((REQUESTS, OK, steady(10)), other)) == expected


def test_a_server_that_fails_everything_has_no_good_requests_at_all() -> None:
    bad = store((REQUESTS, {**OK, "response_code": "503"}, steady(5)))
    assert asked(GUARDS.always(WEB, EVERY)[0], bad) == 0
    assert verdict("success", bad) == "fail"


def test_a_handful_of_requests_proves_nothing() -> None:
    assert verdict("success", store((REQUESTS, {**OK, "response_code": "503"}, steady(0.05)))) == "pass"


@pytest.mark.parametrize(
    ("fast", "edge", "expected"), [(9, "1000", "pass"), (4, "1000", "fail"), (4, "1000.0", "fail")]
)
def test_slow_requests_are_a_share_by_a_bucket(fast: float, edge: str, expected: str) -> None:
    name = "istio_request_duration_milliseconds_bucket"
    buckets = [(name, {**AT_WEB, "le": le}, steady(rate)) for le, rate in ((edge, fast), ("+Inf", 10))]
    assert verdict("latency", store(*buckets)) == expected


def test_callers_that_vanish_are_seen_by_the_volume_alone() -> None:
    """STRICT refuses connections: what is left succeeds."""
    left = (REQUESTS, OK, steady(3))
    cut = (REQUESTS, {**OK, "source_workload": "unknown"}, steady(7, until=CHANGE))
    metrics = store(left, cut)
    assert verdict("success", metrics) == "pass"
    assert verdict("volume", metrics) == "fail"
    assert verdict(
        "volume", store(left, (REQUESTS, {**OK, "source_workload": "unknown"}, steady(2, until=CHANGE)))
    ) == ("pass")


def test_a_scrape_that_is_cut_off_is_no_traffic_but_a_prometheus_that_was_away_is() -> None:
    gone = (REQUESTS, OK, between(steady(10), until=CHANGE))
    assert asked(GUARDS.locked(WEB, EVERY)[0], store(gone)) == 0
    assert verdict("volume", store(gone)) == "fail"
    assert verdict("volume", store(gone, up=between(lambda now: 1.0, until=CHANGE))) == "pass"


def test_connections_count_as_traffic() -> None:
    tcp = {**AT_WEB, "request_protocol": "tcp"}
    assert verdict("volume", store((CONNECTIONS, tcp, steady(2)))) == "pass"
    assert verdict("volume", store((CONNECTIONS, tcp, steady(2, until=CHANGE)))) == "fail"


def test_traffic_that_begins_or_grows_is_no_loss() -> None:
    assert verdict("volume", store((REQUESTS, OK, between(steady(10), since=CHANGE)))) == "pass"
    assert verdict("volume", store((REQUESTS, OK, steady(10, since=CHANGE)))) == "pass"


def test_a_caller_that_gets_no_answer_is_seen_among_many_that_do() -> None:
    many = (REQUESTS, {**FROM_FRONT, "response_flags": "-"}, steady(1000))
    small = {**FROM_FRONT, "source_workload": "cart"}
    fine = (REQUESTS, {**small, "response_flags": "-"}, steady(1, until=CHANGE))
    cut = (REQUESTS, {**small, "response_flags": "UF,URX"}, steady(1, since=CHANGE))
    assert verdict("callers", store(many, fine)) == "pass"
    assert verdict("callers", store(many, fine, cut)) == "fail"
    assert verdict("callers", store(many, fine, cut), None) == "fail"


def test_a_caller_that_never_got_an_answer_is_nothing_new() -> None:
    broken = (REQUESTS, {**FROM_FRONT, "response_flags": "NR"}, steady(1))
    assert verdict("callers", store(broken)) == "pass"
    forbidden = (REQUESTS, {**OK, "response_code": "403"}, steady(1))
    assert verdict("refused", store(forbidden)) == "pass"


def test_a_caller_that_is_refused_now_is_seen() -> None:
    fine = (REQUESTS, OK, steady(10, until=CHANGE))
    refused = (REQUESTS, {**OK, "response_code": "403"}, steady(10, since=CHANGE))
    assert verdict("refused", store(fine, refused)) == "fail"
    assert verdict("success", store(fine, refused)) == "pass"


@pytest.mark.parametrize("unit", [WEB, None], ids=str)
def test_connections_that_a_policy_refuses_are_seen_although_they_are_no_requests(unit: UnitName | None) -> None:
    db, mail = {"namespace": "shop", "pod": "db-0"}, {"namespace": "shop", "pod": "mail-6d4cf56db6-x7k2p"}
    good = ("envoy_tcp", {**db, "tcp_prefix": "rbac", "authz_enforce_result": "allowed"}, steady(1000))
    refused = {**mail, "tcp_prefix": "rbac", "authz_enforce_result": "denied"}
    assert verdict("connections", store(good), unit) == "pass"
    assert verdict("connections", store(good, ("envoy_tcp", refused, steady(0))), unit) == "pass"
    assert verdict("connections", store(good, ("envoy_tcp", refused, steady(1, since=CHANGE))), unit) == "fail"
    assert verdict("connections", store(good, ("envoy_tcp", refused, steady(1))), unit) == "pass", "as before"


# -- dry runs

RBAC = "envoy_http_rbac"
BY_POD = {"namespace": "shop", "pod": "web-6d4cf56db6-x7k2p"}
DENIED = {"authz_dry_run_action": "deny", "authz_dry_run_result": "denied"}
ALLOWED = {"authz_dry_run_action": "deny", "authz_dry_run_result": "allowed"}


@pytest.mark.parametrize(
    "place", [BY_POD, {**AT_WEB, "pod": "x"}, {**BY_POD, **AT_WEB}], ids=["pod", "workload", "both"]
)
@pytest.mark.parametrize("unit", [WEB, None], ids=str)
def test_strict_would_refuse_nothing_when_nothing_is_counted_in_a_whole_window(
    place: Mapping[str, str], unit: UnitName | None
) -> None:
    (gate,) = GUARDS.shadow(unit, 300.0, EVERY, {})
    good = (RBAC, {**place, **ALLOWED}, steady(5))
    assert judged(gate, store(good)) == "pass"
    assert judged(gate, store(good, (RBAC, {**place, **DENIED}, steady(0)))) == "pass"
    assert judged(gate, store(good, (RBAC, {**place, **DENIED}, steady(1)))) == "hold"
    once = between(lambda now: 1.0, since=700)
    assert judged(gate, store(good, (RBAC, {**place, **DENIED}, once))) == "hold", "a CronJob calls once"


@pytest.mark.parametrize("name", ["envoy_tcp", "envoy_tcp_rbac"])
def test_a_namespace_without_http_is_proved_by_its_connections(name: str) -> None:
    (gate,) = GUARDS.shadow(None, 300.0, EVERY, {})
    good = (name, {**BY_POD, **ALLOWED}, steady(5))
    assert judged(gate, store(good)) == "pass"
    assert judged(gate, store(good, (name, {**BY_POD, **DENIED}, steady(1)))) == "hold"
    both = (RBAC, {**BY_POD, **ALLOWED, "http_conn_manager_prefix": "inbound_0.0.0.0_8080"}, steady(5))
    assert judged(gate, store(good, both)) == "pass"


@pytest.mark.parametrize("place", [BY_POD, {**AT_WEB, "pod": "x"}], ids=["pod", "workload"])
def test_plaintext_at_a_port_that_is_left_open_does_not_count_and_elsewhere_does(place: Mapping[str, str]) -> None:
    (gate,) = GUARDS.shadow(None, 300.0, EVERY, {WEB: (9090, 8080)})
    good = (RBAC, {**place, **ALLOWED, "http_conn_manager_prefix": "inbound_0.0.0.0_8080"}, steady(5))
    other = {**place, **DENIED, "http_conn_manager_prefix": "inbound_0.0.0.0_80"}
    for free in ("inbound_0.0.0.0_8080", "InboundPassthroughCluster"):
        there = (RBAC, {**place, **DENIED, "http_conn_manager_prefix": free}, steady(1))
        assert judged(gate, store(good, there)) == "pass"
        assert judged(gate, store(good, there, (RBAC, other, steady(1)))) == "hold", "another port"
    elsewhere = {"namespace": "shop", "pod": "db-0", **DENIED, "http_conn_manager_prefix": "inbound_0.0.0.0_8080"}
    assert judged(gate, store(good, (RBAC, elsewhere, steady(1)))) == "hold", "another workload"
    assert judged(gate, store(good, ("envoy_tcp", {**place, **DENIED}, steady(1)))) == "pass", "ports unknown"
    gone = between(steady(1, until=CHANGE), until=CHANGE)
    left = (RBAC, {**place, **DENIED, "http_conn_manager_prefix": "inbound_0.0.0.0_8080"}, gone)
    assert judged(gate, store(good, left)) == "pass", "of a pod that is gone"


def test_what_is_not_counted_or_not_long_enough_is_not_proved() -> None:
    (gate,) = GUARDS.shadow(WEB, 300.0, EVERY, {})
    assert judged(gate, QUIET) == "hold"
    young = (RBAC, {**BY_POD, **ALLOWED}, between(steady(5), since=700))
    assert judged(gate, store(young)) == "hold"
    other = (RBAC, {**BY_POD, **ALLOWED, "pod": "web-canary-6d4cf56db6-x7k2p"}, steady(5))
    assert judged(gate, store(other)) == "hold"


def test_a_policy_that_forgets_somebody_fails_at_once_and_else_is_counted_for_the_window() -> None:
    now, window = GUARDS.shadow_policies(WEB, 300.0, EVERY)
    allow = {"authz_dry_run_action": "allow"}
    good = (RBAC, {**BY_POD, **allow, "authz_dry_run_result": "allowed"}, steady(5))
    refused = {**BY_POD, **allow, "authz_dry_run_result": "denied"}
    assert [judged(it, store(good)) for it in (now, window)] == ["pass", "pass"]
    assert [judged(it, store(good, (RBAC, refused, steady(1)))) for it in (now, window)] == ["fail", "hold"]
    earlier = store(good, (RBAC, refused, steady(1, until=700)))
    assert [judged(it, earlier) for it in (now, window)] == ["pass", "hold"], "an earlier try still counts"
    assert [judged(it, QUIET) for it in (now, window)] == ["pass", "hold"]


# -- cost


@pytest.mark.parametrize(
    ("unit", "pod"),
    [
        (WEB, "web-6d4cf56db6-x7k2p"),
        (UnitName("StatefulSet", "db"), "db-12"),
        (UnitName("DaemonSet", "agent"), "agent-x7k2p"),
        (UnitName("CronJob", "report"), "report-29402400-x7k2p"),
    ],
    ids=str,
)
def test_proxies_are_measured_by_the_kubelet(unit: UnitName, pod: str) -> None:
    where = {"namespace": "shop", "pod": pod, "container": "istio-proxy"}
    app = {**where, "container": "app"}
    metrics = store(
        ("container_cpu_usage_seconds_total", where, steady(0.25)),
        ("container_cpu_usage_seconds_total", app, steady(7)),
        ("container_memory_working_set_bytes", where, lambda now: 5e7),
        ("container_memory_working_set_bytes", app, lambda now: 9e9),
    )
    cores, memory = GUARDS.cost(unit, 0.5, 1e8, EVERY)
    assert asked(cores, metrics) == pytest.approx(0.25)
    assert asked(memory, metrics) == 5e7
    assert [judged(it, metrics) for it in GUARDS.cost(unit, 0.2, 4e7, EVERY)] == ["fail", "fail"]


def test_a_budget_that_cannot_be_measured_holds_unless_nothing_runs() -> None:
    cores, memory = GUARDS.cost(WEB, 0.5, 1e8, EVERY)
    assert [judged(it, QUIET) for it in (cores, memory)] == ["hold", "hold"]
    other = {"namespace": "shop", "pod": "db-0", "container": "app"}
    asleep = store(("container_memory_working_set_bytes", other, lambda now: 1.0))
    assert [judged(it, asleep) for it in (cores, memory)] == ["pass", "pass"]
    assert [judged(it, QUIET) for it in GUARDS.cost(UnitName("CronJob", "r"), 1.0, None, EVERY)] == ["pass"]
    assert GUARDS.cost(WEB, None, None, EVERY) == ()


# -- form


def test_names_are_unique_and_what_is_about_the_namespace_is_asked_once() -> None:
    gates = [*GUARDS.always(WEB, EVERY), *GUARDS.locked(WEB, EVERY)]
    assert len({it.name for it in gates}) == len(gates)
    other = {it.name: it for it in GUARDS.locked(UnitName("Deployment", "cart"), EVERY)}
    assert {it.name for it in gates if other.get(it.name) == it} == {"callers", "refused", "connections"}


def test_metrics_may_have_other_names() -> None:
    names = MetricLabels(requests="reqs", namespace="ns", workload="wl", code="status", match={"side": "server"})
    gates = Istio().guards(HERE, names, None).always(WEB, EVERY)
    assert isinstance(gates[0], QueryGate)
    assert 'side="server",ns="shop",wl="web"' in gates[0].query
    assert "destination_workload" not in gates[0].query


@pytest.mark.parametrize("every", [1.0, 2.0, 15.0, 300.0])
def test_windows_follow_the_looks(every: float) -> None:
    (volume, *_) = GUARDS.locked(WEB, every)
    assert isinstance(volume, QueryGate)
    assert f"[{4 * every:.0f}s]" in volume.query
    assert "offset ${before}" in volume.query
    assert f"offset {12 * every:.0f}s" in reaching(volume, GateState(), began=0, now=every)


def test_a_late_look_reaches_back_to_before_the_last_sound_one_or_the_steps_begin() -> None:
    (volume, *_) = GUARDS.locked(WEB, 10.0)
    assert isinstance(volume, QueryGate)
    passed, failed = Look(100, "pass", 1.0, ""), Look(110, "fail", 0.1, "")
    for looks, began, now, offset in [
        ((), 100, 109, 120),
        ((), 100, 135, 120 + 20),
        ((passed,), 0, 110, 120),
        ((passed,), 0, 700, 120 + 590),
        ((passed, failed), 0, 120, 120 + 10),
    ]:
        assert f"offset {offset}s" in reaching(volume, GateState(looks=looks), began, now), (looks, began, now)


@pytest.mark.parametrize("labels", [{"namespace": "shop", "pod": "web-5d9c7b8f6-abcde"}, AT_WEB])
def test_a_scrape_that_answered_before_and_no_longer_does_is_seen(labels: Mapping[str, str]) -> None:
    def said(course: Course) -> str:
        return verdict("scrapes", store(("up", labels, course)))

    assert said(lambda now: 1.0) == "pass"
    assert said(lambda now: 0.0 if now == END - 30 else 1.0) == "pass", "one scrape that failed"
    assert said(lambda now: 0.0 if now >= CHANGE else 1.0) == "fail"
    assert said(lambda now: 0.0) == "pass", "it was so before"
    assert said(between(lambda now: 1.0, until=CHANGE)) == "pass", "the pod is gone"
    other = store(("up", {"namespace": "shop", "pod": "web-store-5d9c7b8f6-abcde"}, lambda now: 0.0 + (now < CHANGE)))
    assert verdict("scrapes", other) == "pass", "of another workload"


def test_a_pod_of_a_cron_job_that_has_ended_is_no_scrape_that_was_cut_off() -> None:
    def said(pod: str) -> str:
        ended = store(("up", {"namespace": "shop", "pod": pod}, lambda now: 0.0 + (now < CHANGE)))
        gate = next(it for it in GUARDS.locked(None, EVERY) if it.name == "scrapes")
        return judged(gate, ended)

    assert said("report-29403912-x7k2p") == "pass"
    assert said("web-5d9c7b8f6-abcde") == "fail"
    for kind in ("CronJob", "Job"):
        assert "scrapes" not in {it.name for it in GUARDS.locked(UnitName(kind, "report"), EVERY)}
