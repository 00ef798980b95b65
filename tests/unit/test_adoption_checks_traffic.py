"""Scraping, egress, DestinationRules, injectors, connections (PF13-PF15, PF20-PF22), and the snapshot as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.checks.adoption import CHECKERS, Adopted, Look, Outside, judge
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import (
    CRON_JOB,
    DEPLOYMENT,
    DESTINATION_RULE,
    MUTATING_WEBHOOK,
    NETWORK_POLICY,
    PDB,
    PEER_AUTHENTICATION,
    POD,
    SERVICE_ENTRY,
)
from tests.kit.adoption import NS, Case, Scene, app, cron, job, proves, scene, service, template, thing, workload

SCRAPE = {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}
METRICS = app(ports=[{"containerPort": 8080}, {"containerPort": 9090, "name": "http-metrics"}])


def pods(*containers: Json, **fields: Any) -> Json:
    return workload(template(*containers, **fields))


def open_port(mode: str) -> Json:
    spec = {"selector": {"matchLabels": {"app": "web"}}, "portLevelMtls": {"9090": {"mode": mode}}}
    return thing(PEER_AUTHENTICATION, "metrics", spec)


SCRAPING = [
    Case(
        "a port of metrics that a monitor scrapes",
        Level.WARNING,
        "port 9090 of Deployment/web is scraped directly (its name is http-metrics)",
        scene(pods(METRICS)),
        scene(pods(METRICS), open_port("PERMISSIVE")),
    ),
    Case(
        "annotations that are not merged",
        Level.WARNING,
        "(prometheus.io/port)",
        scene(pods(notes=SCRAPE), mesh=Adopted(merges_metrics=False)),
        scene(pods(notes=SCRAPE)),
    ),
    Case(
        "merging is off for this pod",
        Level.WARNING,
        "these metrics end",
        scene(pods(notes={**SCRAPE, "prometheus.istio.io/merge-metrics": "false"})),
        scene(
            pods(
                METRICS,
                notes={"traffic.sidecar.istio.io/excludeInboundPorts": "80, 9090"},
            )
        ),
    ),
]


@pytest.mark.parametrize("case", SCRAPING, ids=str)
def test_pf13_metrics_can_be_scraped(case: Case) -> None:
    proves(case, "RO513")


def entry(*hosts: str) -> Json:
    return thing(SERVICE_ENTRY, "known", {"hosts": list(hosts)})


PAYPAL = (Outside("api.pay.example", 443, "HTTPS", "Deployment/web"),)
EGRESS = [
    Case(
        "a host that nobody declared",
        Level.WARNING,
        "api.pay.example:443 is called by Deployment/web and no ServiceEntry names it",
        scene(workload(), entry("other.example"), outside=PAYPAL),
        scene(workload(), entry("*.pay.example"), outside=PAYPAL),
    ),
    Case(
        "a wildcard of another domain",
        Level.WARNING,
        "REGISTRY_ONLY would refuse it",
        scene(workload(), entry("*.example.org"), outside=PAYPAL),
        scene(workload(), outside=()),
    ),
]


@pytest.mark.parametrize("case", EGRESS, ids=str)
def test_pf14_hosts_outside_are_known(case: Case) -> None:
    proves(case, "RO514")


def test_what_was_not_observed_is_not_looked_at() -> None:
    (result,) = [it for it in judge(scene(workload()).seen()) if it.checker.id == "PF14"]
    assert result.skipped == "which hosts are called was not observed"


def rule(spec: Json, host: str = "web", namespace: str = NS) -> Json:
    made = thing(DESTINATION_RULE, "web", {"host": host, **spec})
    made["metadata"]["namespace"] = namespace
    return made


PLAIN = {"tls": {"mode": "DISABLE"}}
MUTUAL = {"tls": {"mode": "ISTIO_MUTUAL"}}


def ruled(spec: Json, host: str = "web", namespace: str = NS) -> Scene:
    return scene(workload(), service(), rule(spec, host, namespace))


RULES = [
    Case(
        "TLS is off",
        Level.ERROR,
        "sets tls.mode DISABLE for web (spec.trafficPolicy.tls): callers in the mesh send plaintext",
        ruled({"trafficPolicy": PLAIN}),
        ruled({"trafficPolicy": MUTUAL}),
    ),
    Case(
        "TLS of the caller's own",
        Level.ERROR,
        "callers in the mesh send TLS without the mesh's identity",
        ruled({"trafficPolicy": {"tls": {"mode": "SIMPLE"}}}),
        ruled({"trafficPolicy": {"connectionPool": {}}}),
    ),
    Case(
        "on one port",
        Level.ERROR,
        "(spec.trafficPolicy.portLevelSettings.0.tls)",
        ruled({"trafficPolicy": {**MUTUAL, "portLevelSettings": [{"port": {"number": 80}, **PLAIN}]}}),
        ruled({"trafficPolicy": {**MUTUAL, "portLevelSettings": [{"port": {"number": 80}, **MUTUAL}]}}),
    ),
    Case(
        "in one subset",
        Level.ERROR,
        "(spec.subsets.1.trafficPolicy.tls)",
        ruled({"subsets": [{"name": "a"}, {"name": "b", "trafficPolicy": PLAIN}]}),
        ruled({"subsets": [{"name": "a"}, {"name": "b", "trafficPolicy": MUTUAL}]}),
    ),
    Case(
        "of another namespace, for all hosts of ours",
        Level.ERROR,
        "DestinationRule/web in clients sets tls.mode DISABLE for *.shop.svc.cluster.local",
        ruled({"trafficPolicy": PLAIN}, "*.shop.svc.cluster.local", "clients"),
        ruled({"trafficPolicy": PLAIN}, "web", "clients"),
        # the emulated kubectl knows one namespace
        fixed=False,
    ),
]


@pytest.mark.parametrize("case", RULES, ids=str)
def test_pf15_no_rule_overrides_mtls(case: Case) -> None:
    proves(case, "RO515")


OBJECT = {
    "namespaceSelector": {"matchExpressions": [{"key": "istio.io/rev", "operator": "DoesNotExist"}]},
    "objectSelector": {"matchExpressions": [{"key": "sidecar.istio.io/inject", "operator": "In", "values": ["true"]}]},
}


def injector(policy: str = "Fail", **selectors: Json) -> Json:
    hook = {"name": "rev.object.sidecar-injector.istio.io", "failurePolicy": policy, **(selectors or OBJECT)}
    return thing(MUTATING_WEBHOOK, "istio-sidecar-injector", webhooks=[hook])


def istiod(replicas: int = 2, ready: int = 2) -> tuple[Look, Json]:
    pod = {"metadata": {"labels": {"app": "istiod"}}, "spec": {"containers": []}}
    made = thing(DEPLOYMENT, "istiod", {"replicas": replicas, "template": pod}, status={"readyReplicas": ready})
    made["metadata"]["namespace"] = "istio-system"
    return Look(DEPLOYMENT, "mesh"), made


def guarded() -> tuple[Look, Json]:
    made = thing(PDB, "istiod", {"selector": {"matchLabels": {"app": "istiod"}}, "minAvailable": 1})
    return Look(PDB, "mesh"), made


SOUND = scene(workload(), injector(), elsewhere=(istiod(), guarded()))
INJECTORS = [
    Case(
        "there is none",
        Level.ERROR,
        "no webhook of an injector takes in pods of shop with the labels sidecar.istio.io/inject=true",
        scene(workload(), injector(objectSelector={"matchLabels": {"istio.io/rev": "canary"}})),
        SOUND,
        fixed=False,
    ),
    Case(
        "the namespace is another one's",
        Level.ERROR,
        "no webhook of an injector",
        replace(SOUND, labels={"istio.io/rev": "old"}),
        replace(SOUND, labels={"team": "shop"}),
        fixed=False,
    ),
    Case(
        "pods start without it",
        Level.WARNING,
        "failurePolicy Ignore: while it is down, pods start without proxy unnoticed",
        scene(workload(), injector("Ignore"), elsewhere=(istiod(), guarded())),
        SOUND,
    ),
    Case(
        "it is down",
        Level.ERROR,
        "no pod of the injector (Deployment/istiod in istio-system) is ready",
        scene(workload(), injector(), elsewhere=(istiod(ready=0), guarded())),
        SOUND,
        fixed=False,
    ),
    Case(
        "it has one pod",
        Level.WARNING,
        "has one pod: while it is away",
        scene(workload(), injector(), elsewhere=(istiod(1, 1), guarded())),
        SOUND,
        fixed=False,
    ),
    Case(
        "all of it may be evicted",
        Level.WARNING,
        "has no PodDisruptionBudget: drained nodes",
        scene(workload(), injector(), elsewhere=(istiod(),)),
        SOUND,
        fixed=False,
    ),
]


@pytest.mark.parametrize("case", INJECTORS, ids=str)
def test_pf20_the_injector_is_there(case: Case) -> None:
    proves(case, "RO520")


def live(container: str) -> Json:
    return thing(POD, "web-1", template(app(), {"name": container})["spec"])


MESHES = [
    Case(
        "asked for another on the pods",
        Level.ERROR,
        "Deployment/web also asks linkerd for a proxy (linkerd.io/inject: enabled)",
        scene(pods(notes={"linkerd.io/inject": "enabled"})),
        scene(pods(notes={"linkerd.io/inject": "disabled"}, labels={"sidecar.istio.io/inject": "true"})),
    ),
    Case(
        "asked for another on the namespace",
        Level.ERROR,
        "namespace shop also asks app mesh for proxies",
        scene(workload(), labels={"appmesh.k8s.aws/sidecarInjectorWebhook": "enabled"}),
        scene(workload(), labels={"istio-injection": "enabled"}),
    ),
    Case(
        "Istio twice over",
        Level.WARNING,
        "both istio-injection and istio.io/rev",
        scene(workload(), labels={"istio-injection": "enabled", "istio.io/rev": "new"}),
        scene(workload(), labels={"istio.io/rev": "new"}),
    ),
    Case(
        "ambient, which gives way",
        Level.WARNING,
        "also asks istio ambient",
        scene(pods(labels={"istio.io/dataplane-mode": "ambient"})),
        scene(pods(labels={"istio.io/dataplane-mode": "none"})),
    ),
    Case(
        "another's proxy is written into the template",
        Level.ERROR,
        "the container consul-dataplane of consul is in the template of Deployment/web",
        scene(pods(app(), {"name": "consul-dataplane"})),
        scene(pods(app(), {"name": "cloud-sql-proxy"})),
    ),
    Case(
        "our own is written into the template",
        Level.WARNING,
        "has istio-proxy written into it",
        scene(pods(app(), {"name": "istio-proxy"})),
        scene(live("istio-proxy")),
    ),
    Case(
        "another's proxy is in the pods",
        Level.ERROR,
        "the container linkerd-proxy of linkerd is in the pods of",
        scene(live("linkerd-proxy")),
        scene(live("nginx")),
        fixed=False,
    ),
]


@pytest.mark.parametrize("case", MESHES, ids=str)
def test_pf21_no_other_mesh_has_the_same_pods(case: Case) -> None:
    proves(case, "RO521")


def stopping(**fields: Any) -> Json:
    return pods(app(lifecycle={"preStop": {"exec": {"command": ["sleep", "20"]}}}), **fields)


CLASSIC = Adopted(native_sidecars=False)
CONNECTIONS = [
    Case(
        "connections that stay",
        Level.INFO,
        "Deployment/web keeps connections (grpc)",
        scene(workload(), service({"port": 80, "targetPort": 8080, "name": "grpc"})),
        scene(workload(), service({"port": 80, "targetPort": 8080, "name": "http"})),
        fixed=False,
    ),
    Case(
        "work after the proxy has left",
        Level.WARNING,
        "container app of Deployment/web works on after SIGTERM (preStop)",
        scene(stopping(), mesh=CLASSIC),
        scene(stopping()),
    ),
    Case(
        "the proxy that waits",
        Level.WARNING,
        "leaves after 5s",
        scene(stopping(notes={"proxy.istio.io/config": "tracing: {}"}), mesh=CLASSIC),
        scene(stopping(notes={"proxy.istio.io/config": "terminationDrainDuration: 30s"}), mesh=CLASSIC),
    ),
]


@pytest.mark.parametrize("case", CONNECTIONS, ids=str)
def test_pf22_connections_outlive_no_change(case: Case) -> None:
    proves(case, "RO522")


def test_every_entry_of_the_catalogue_has_its_check() -> None:
    ids = [it.id for it in CHECKERS]
    assert len(ids) == len(set(ids))
    assert {f"PF{number:02}" for number in range(23)} <= set(ids)


def test_categories_are_told_in_one_piece() -> None:
    order = [it.category for it in CHECKERS]
    assert [c for n, c in enumerate(order) if n == 0 or order[n - 1] != c] == list(dict.fromkeys(order))


def test_what_cannot_be_seen_skips_what_needs_it_and_nothing_else() -> None:
    blind = {Look(NETWORK_POLICY): "you may not list them", Look(CRON_JOB): "you may not list those"}
    results = {it.checker.id: it for it in judge(replace(scene(workload()).seen(), unseen=blind))}
    assert results["PF12"].skipped == "networkpolicies cannot be seen: you may not list them"
    assert [it.checker.id for it in results.values() if it.skipped] == ["PF12", "PF14"]
    (finding,) = results["PF00"].findings
    assert (finding.code, finding.level) == ("RO500", Level.WARNING)
    assert "cronjobs of shop cannot be seen" in finding.message


def test_another_mesh_is_asked_only_what_concerns_it() -> None:
    known = replace(scene(cron(), job()), mesh=Adopted(driver="linkerd", namespace="linkerd"))
    ids = {it.checker.id for it in judge(known.seen())}
    assert {"PF03", "PF12", "PF19-tokens"} <= ids
    assert not {"PF01", "PF05", "PF20"} & ids
