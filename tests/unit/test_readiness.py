"""Who blocks STRICT of a workload: each finding from a namespace in which it is true."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.adapters.mesh.istio import Istio
from rollout.observe.hosts import hosts
from rollout.observe.readiness import Standing, blockers, scene, standing
from rollout.observe.survey import Survey
from rollout.observe.units import units
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CRON_JOB, DAEMON_SET, MUTATING_WEBHOOK, Ref
from rollout.ports.clock import Timetable
from rollout.ports.mesh import Edge, Peer, Traffic, Unit
from tests.kit.meshed import (
    HOME,
    WILLING,
    by_kind,
    cron_job,
    deployed,
    destination_rule,
    injected,
    istiod,
    namespace,
    peer_authentication,
    pod,
    service,
    survey_of,
    template,
    unit_of,
    webhooks,
    workload,
)

DAY = 86_400.0
MESH = Istio()
FRONT = Edge(Peer("shop", "front", "spiffe://x"), "shop", "web", "http", secure=True, amount=400.0)


def plain(name: str = "", amount: float = 12.0, protocol: str = "http", home: str = "shop") -> Edge:
    return Edge(Peer(home if name else "", name), "shop", "web", protocol, secure=False, amount=amount)


def surveyed(*objects: Json, edges: tuple[Edge, ...] = (FRONT,), tables: Any = None, **traffic: Any) -> Survey:
    every = (namespace(), webhooks(), istiod(), service("web"), *objects)
    return survey_of(*every, traffic=Traffic(DAY, edges, **traffic), tables=tables)


def web(survey: Survey) -> Unit:
    return next(it for it in survey.units if it.name == "web")


def found(survey: Survey) -> dict[str, Finding]:
    return {it.code: it for it in blockers(web(survey), scene(MESH, survey))}


def verdict(survey: Survey) -> Standing:
    return standing(web(survey), scene(MESH, survey), blockers(web(survey), scene(MESH, survey)))


def test_a_workload_whose_callers_all_have_mtls_is_ready() -> None:
    survey = surveyed(*deployed("web", pods=3))
    assert (found(survey), verdict(survey)) == ({}, Standing.READY)


def test_one_that_is_strict_already_is_not_asked_for_more() -> None:
    survey = surveyed(*deployed("web"), peer_authentication("default", "STRICT"), edges=(), problem="down")
    assert (found(survey), verdict(survey)) == ({}, Standing.STRICT)


# -- what it has itself


def test_pods_without_a_proxy_and_why_the_next_have_none_either() -> None:
    it = found(surveyed(*deployed("web", pods=3, plain=2)))["RO601"]
    assert it.level is Level.ERROR
    assert it.message.startswith("2 of 3 pods without a proxy: web-1-1, web-1-2; the next pods get no proxy: neither")
    assert it.fix.startswith("kubectl patch deployment web -n shop")


def test_pods_that_only_have_to_be_made_anew() -> None:
    it = found(surveyed(*deployed("web", pods=1, plain=1, made=template("web", WILLING))))["RO601"]
    assert it.message == "1 of 1 pods without a proxy: web-1-0"
    assert it.fix == "kubectl rollout restart deployment web -n shop"


def test_pods_that_will_lose_their_proxy_when_they_are_made_anew() -> None:
    survey = surveyed(*deployed("web", made=template("web")))
    assert found(survey)["RO601"].message == (
        "the next pods get no proxy: neither its namespace nor its pod template asks for a proxy"
    )
    assert verdict(survey) is Standing.BLOCKED


@pytest.mark.parametrize(("plain", "level"), [(0, Level.WARNING), (1, Level.ERROR)])
def test_what_decides_about_the_next_pods_may_not_be_readable(plain: int, level: Level) -> None:
    every = by_kind(namespace(), *deployed("web", pods=2, plain=plain), service("web"))
    del every[MUTATING_WEBHOOK]
    mine = units(every)
    survey = Survey("shop", 0.0, (), mine, MESH.views(mine, every, HOME), Traffic(DAY, (FRONT,)))
    it = found(survey)["RO601"]
    assert it.level is level
    assert "it is not known what the next pods get: you may not read the webhooks that inject" in it.message


def test_many_pods_are_counted() -> None:
    assert "web-1-0, web-1-1, web-1-2 and 2 more" in found(surveyed(*deployed("web", pods=5, plain=5)))["RO601"].message


def test_pods_in_the_network_of_their_node_cannot_have_one() -> None:
    made = template("web", hostNetwork=True)
    it = found(surveyed(*deployed("web", pods=1, plain=1, made=made)))["RO601"]
    assert "hostNetwork" in it.message
    assert "kubectl" not in it.fix


def test_a_proxy_that_is_not_ready() -> None:
    objects = deployed("web", pods=2)
    objects[3] = injected(pod("web-1-1", objects[1]), ready=False)
    survey = surveyed(*objects)
    assert found(survey)["RO602"].message == "proxy not ready: web-1-1"
    assert verdict(survey) is Standing.UNPROVEN


def test_a_rule_that_turns_mtls_off_is_named_with_its_field() -> None:
    rule = destination_rule(
        "legacy", "web.shop.svc.cluster.local", {"tls": {"mode": "DISABLE"}}, "front", exportTo=["."]
    )
    it = found(surveyed(*deployed("web"), rule))["RO606"]
    assert "DestinationRule/legacy in front makes callers in front send DISABLE" in it.message
    assert it.fix == "remove spec.trafficPolicy.tls from DestinationRule/legacy in front"


SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": "9102"}


def test_a_port_that_is_scraped_past_the_proxy() -> None:
    it = found(surveyed(*deployed("web", made=template("web", notes=SCRAPED))))["RO607"]
    assert "port 9102" in it.message
    assert '"portLevelMtls":{"9102":{"mode":"PERMISSIVE"}}' in it.fix


@pytest.mark.parametrize(
    ("notes", "more"),
    [
        ({**SCRAPED, "prometheus.io/port": "15020"}, ()),
        ({**SCRAPED, "traffic.sidecar.istio.io/excludeInboundPorts": "9102"}, ()),
        (SCRAPED, (peer_authentication("metrics", None, selector={"app": "web"}, ports={9102: "PERMISSIVE"}),)),
        ({"prometheus.io/port": "9102"}, ()),
    ],
)
def test_scrapes_that_strict_does_not_touch(notes: dict[str, str], more: tuple[Json, ...]) -> None:
    assert "RO607" not in found(surveyed(*deployed("web", made=template("web", notes=notes)), *more))


@pytest.mark.parametrize("merging", [True, False])
def test_without_pods_the_injector_is_expected_to_move_the_scrape(merging: bool) -> None:
    notes = SCRAPED if merging else {**SCRAPED, "prometheus.istio.io/merge-metrics": "false"}
    made = template("web", {"sidecar.istio.io/inject": "true"}, notes)
    assert ("RO607" in found(surveyed(workload("web", made=made)))) is not merging


@pytest.mark.parametrize(
    ("port", "guessed"),
    [
        ({"name": "mail", "port": 587}, True),
        ({"port": 4444}, True),
        ({"name": "tcp-mail", "port": 587}, False),
        ({"name": "mail", "port": 587, "appProtocol": "tcp"}, False),
        ({"name": "mysql", "port": 3306}, False),
        ({"name": "db", "port": 3306}, False),
        ({"name": "web", "port": 8080}, False),
    ],
)
def test_a_protocol_that_is_guessed(port: Json, guessed: bool) -> None:
    mail = service("web", port)
    mail["metadata"]["name"] = "mail"
    findings = found(surveyed(*deployed("web"), mail))
    assert ("RO608" in findings) is guessed
    if guessed:
        assert '"path":"/spec/ports/0/appProtocol","value":"tcp"' in findings["RO608"].fix


def test_from_disable_the_way_leads_over_permissive() -> None:
    it = found(surveyed(*deployed("web"), peer_authentication("off", "DISABLE")))["RO612"]
    assert "PeerAuthentication/off in shop" in it.fix


# -- its callers


def test_a_caller_that_is_known_by_name() -> None:
    survey = surveyed(*deployed("web"), *deployed("legacy", plain=1), edges=(FRONT, plain("legacy")))
    it = found(survey)["RO603"]
    assert it.message == "Deployment/legacy sent 12 requests in plaintext in 1d"
    assert it.fix.startswith("kubectl patch deployment legacy")
    assert verdict(survey) is Standing.BLOCKED


def test_a_caller_with_a_proxy_is_told_what_turns_its_mtls_off() -> None:
    rule = destination_rule("r", "web", {"tls": {"mode": "DISABLE"}})
    edges = (plain("front", 3.0, "tcp"), plain("front", 2.0))
    it = found(surveyed(*deployed("web"), *deployed("front"), rule, edges=edges))["RO603"]
    assert (
        it.message == "Deployment/front sent 2 requests and 3 connections in plaintext in 1d, although it has a proxy"
    )
    assert "DestinationRule/r" in it.fix
    it = found(surveyed(*deployed("web"), *deployed("front"), edges=edges))["RO603"]
    assert "outbound ports" in it.fix


def test_a_caller_in_the_network_of_its_node_needs_an_exception() -> None:
    agent = workload("agent", DAEMON_SET, made=template("agent", hostNetwork=True))
    made = template("web")
    made["spec"]["containers"][0]["ports"] = [{"name": "web", "containerPort": 8080}]
    to_port = service("web", {"name": "http", "port": 80, "targetPort": "web"})
    to_port["metadata"]["name"] = "web-2"
    survey = surveyed(*deployed("web", made=made), agent, to_port, edges=(plain("agent"),))
    it = found(survey)["RO603"]
    assert it.message.startswith("DaemonSet/agent (hostNetwork) sent")
    assert '"8080":{"mode":"PERMISSIVE"}' in it.fix


def test_a_caller_of_another_namespace_is_looked_at_there() -> None:
    it = found(surveyed(*deployed("web"), edges=(plain("legacy", home="old"),)))["RO603"]
    assert it.message.startswith("legacy in old sent")
    assert it.fix.startswith("rollout mesh report -n old")


REPORT = cron_job("report", "0 0 1 * *", template("report", containers=[{"name": "c", "args": ["http://web/all"]}]))
REPORT_REF = Ref(CRON_JOB, "shop", "report")
MONTHLY = {REPORT_REF: Timetable(1_764_547_200.0, 31 * DAY)}


def test_callers_without_an_identity_stay_so_and_the_likely_ones_are_told() -> None:
    objects = (*deployed("web"), *deployed("aaa", plain=1), REPORT)
    it = found(surveyed(*objects, edges=(FRONT, plain()), tables=MONTHLY))["RO604"]
    assert it.message == (
        "callers without an identity sent 12 requests in plaintext in 1d; the metrics cannot name them; "
        "without a proxy are CronJob/report (next run 2025-12-01 00:00 UTC), Deployment/aaa"
    )
    assert it.fix.startswith("kubectl patch cronjob report")


def test_when_all_have_a_proxy_the_caller_is_somewhere_else() -> None:
    it = found(surveyed(*deployed("web"), edges=(plain(amount=0.3),)))["RO604"]
    assert "sent 1 request in plaintext" in it.message
    assert it.fix.startswith("rollout mesh report -A")


def test_a_cron_job_that_names_it_is_a_blocker_before_any_metric_has_seen_it() -> None:
    survey = surveyed(*deployed("web"), REPORT, tables=MONTHLY)
    it = found(survey)["RO605"]
    assert it.level is Level.ERROR
    assert it.message == "CronJob/report (next run 2025-12-01 00:00 UTC) has no proxy, and its pod template names web"
    assert '{"spec":{"jobTemplate":' in it.fix
    assert verdict(survey) is Standing.BLOCKED


def test_a_suspended_cron_job_and_one_whose_schedule_nobody_can_read() -> None:
    asleep = cron_job("report", "@monthly", REPORT["spec"]["jobTemplate"]["spec"]["template"], suspend=True)
    assert "(suspended)" in found(surveyed(*deployed("web"), asleep))["RO605"].message
    odd = cron_job("report", "H H * * *", REPORT["spec"]["jobTemplate"]["spec"]["template"])
    assert "(schedule H H * * *)" in found(surveyed(*deployed("web"), odd))["RO605"].message


def test_who_was_seen_by_name_is_not_told_twice() -> None:
    made = template("legacy", containers=[{"name": "c", "env": [{"name": "WEB", "value": "http://web:80"}]}])
    survey = surveyed(*deployed("web"), *deployed("legacy", plain=1, made=made), edges=(plain("legacy"),))
    assert {"RO603"} == set(found(survey))


@pytest.mark.parametrize(
    ("text", "home", "host"),
    [
        ("http://web", "shop", "web"),
        ("http://web:8080/x", "shop", "web"),
        ("user@web/x", "shop", "web"),
        ("web", "shop", "web"),
        ("--peer=web:80", "shop", "web"),
        ("web", "front", ""),
        ("http://web", "front", ""),
        ("grpc://web.shop:80", "front", "web.shop"),
        ("curl http://web.shop.svc.cluster.local/", "front", "web.shop"),
        ("http://web.shop.example.com", "front", "web.shop"),
        ("http://webshop", "shop", ""),
        ("http://my-web:80", "shop", ""),
        ("--mode web --fast", "shop", ""),
        ("web --fast", "shop", ""),
        ("http://web-2", "shop", ""),
        ("http://web.other.svc", "shop", ""),
        ("my.web.shop", "front", ""),
    ],
)
def test_hosts_in_templates(text: str, home: str, host: str) -> None:
    caller = workload("a", made=template("a", containers=[{"name": "c", "command": ["sh"], "args": [text]}]))
    caller["metadata"]["namespace"] = home
    assert hosts(unit_of(caller)).get("web.shop", "") == host


# -- what is not proven


def test_without_metrics_nothing_is_proven() -> None:
    survey = surveyed(*deployed("web"), edges=(), problem="no connection")
    it = found(survey)["RO609"]
    assert it.message == "who sends plaintext cannot be known: no connection"
    assert verdict(survey) is Standing.UNPROVEN


def test_no_data_is_not_zero() -> None:
    survey = surveyed(*deployed("web"), edges=())
    assert found(survey)["RO609"].message.startswith("no data: not one request or connection in 1d")
    assert verdict(survey) is Standing.UNPROVEN


def test_a_window_that_is_shorter_than_the_pause_of_a_cron_job() -> None:
    quiet = cron_job("report", "0 0 1 * *")
    it = found(surveyed(*deployed("web"), quiet, tables=MONTHLY))["RO610"]
    assert "pauses up to 31d: 1d may miss it" in it.message
    assert it.fix == "rollout mesh report --window 31d"
    often = {REPORT_REF: Timetable(0.0, DAY / 2)}
    assert "RO610" not in found(surveyed(*deployed("web"), quiet, tables=often))
    meshed = cron_job("report", "0 0 1 * *", template("report", {"sidecar.istio.io/inject": "true"}))
    assert "RO610" not in found(surveyed(*deployed("web"), meshed, tables=MONTHLY))


def test_metrics_that_are_younger_than_the_window() -> None:
    assert "RO611" in found(surveyed(*deployed("web"), complete=False))


# -- who is no server


def test_what_nothing_calls_is_only_a_caller() -> None:
    survey = surveyed(*deployed("front"))
    (front,) = survey.units
    assert blockers(front, scene(MESH, survey)) == ()
    assert standing(front, scene(MESH, survey), ()) is Standing.CALLER


def test_a_caller_without_a_proxy_is_blocked_itself() -> None:
    survey = surveyed(REPORT, tables=MONTHLY)
    (report,) = survey.units
    (it,) = blockers(report, scene(MESH, survey))
    assert (it.code, it.message) == (
        "RO601", "the next pods get no proxy: neither its namespace nor its pod template asks for a proxy"
    )  # fmt: skip


def test_modes_are_not_for_gateways() -> None:
    router = {"name": "istio-proxy", "args": ["proxy", "router"]}
    gateway = pod("web", made=template("web", containers=[router]))
    survey = surveyed(gateway, edges=(plain(),))
    assert (found(survey), verdict(survey)) == ({}, Standing.GATEWAY)


def test_errors_come_first() -> None:
    survey = surveyed(*deployed("web", pods=2, plain=1), edges=(plain(),), complete=False)
    assert [it.code for it in blockers(web(survey), scene(MESH, survey))] == ["RO601", "RO604", "RO611"]
