"""Proxies, control planes and rules that turn mTLS off, read from raw objects."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.adapters.istiod import root_namespace
from rollout.adapters.mesh.istio import Istio
from rollout.adapters.mesh.istio.controlplane import planes
from rollout.adapters.mesh.istio.rules import client_rules
from rollout.observe.units import units
from rollout.plan.base import Json
from rollout.plan.kinds import CRON_JOB, POD, STATEFUL_SET
from rollout.ports.mesh import Capability, Carrier, MeshView, Mode, Unit
from tests.kit.meshed import (
    HOME,
    by_kind,
    config,
    cron_job,
    deployed,
    destination_rule,
    injected,
    istiod,
    namespace,
    peer_authentication,
    pod,
    service,
    template,
    unit_of,
    webhooks,
    workload,
)


def seen(*objects: Json) -> MeshView:
    (view,) = Istio().views(units(by_kind(*objects)), by_kind(*objects), HOME).values()
    return view


# -- proxies


@pytest.mark.parametrize(("native", "carrier"), [(True, Carrier.NATIVE), (False, Carrier.CLASSIC)])
def test_a_proxy_is_found_among_either_containers(native: bool, carrier: Carrier) -> None:
    (proxy,) = seen(injected(pod("web"), "v2", native=native)).proxies
    assert (proxy.carrier, proxy.ready, proxy.revision) == (carrier, True, "v2")
    (proxy,) = seen(injected(pod("web"), native=native, ready=False)).proxies
    assert not proxy.ready


def test_pods_without_one_and_pods_that_go() -> None:
    objects = deployed("web", pods=3, plain=1)
    objects[2]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    view = seen(*objects)
    assert [(it.pod, it.carrier) for it in view.proxies] == [("web-1-1", Carrier.NATIVE), ("web-1-2", Carrier.NONE)]
    assert not view.meshed


def test_an_init_container_that_ends_is_no_proxy() -> None:
    made = template("web", initContainers=[{"name": "istio-proxy"}])
    assert seen(pod("web", made=made)).proxies[0].carrier is Carrier.NONE


def test_gateways_and_ambient_pods() -> None:
    router = {"name": "istio-proxy", "args": ["proxy", "router"]}
    assert seen(pod("gw", made=template("gw", containers=[router]))).proxies[0].carrier is Carrier.GATEWAY
    ambient = template("web", notes={"ambient.istio.io/redirection": "enabled"})
    assert seen(pod("web", made=ambient)).proxies[0].carrier is Carrier.AMBIENT


@pytest.mark.parametrize("status", ["", "no json", "[]", "{}"])
def test_a_status_that_says_no_revision(status: str) -> None:
    web = injected(pod("web"))
    web["metadata"]["annotations"] = {"sidecar.istio.io/status": status, "istio.io/rev": "v3"}
    assert seen(web).proxies[0].revision == "v3"


def test_ports_that_the_template_keeps_from_the_proxy() -> None:
    notes = {"traffic.sidecar.istio.io/excludeInboundPorts": "9090, 15020,,x"}
    assert seen(workload("web", made=template("web", notes=notes))).bypassed == (9090, 15020)


# -- the control plane


def test_control_planes_with_their_tags() -> None:
    objects = by_kind(istiod(), istiod("v2", "1.32.0", ready=0), webhooks(), webhooks("v2"), webhooks("v2", "prod"))
    first, second = planes(objects)
    assert (first.revision, first.version, first.ready, first.tags) == ("default", "1.31.4", True, ())
    assert (second.revision, second.version, second.ready, second.tags) == ("v2", "1.32.0", False, ("prod",))


@pytest.mark.parametrize("image", ["localhost:5000/pilot", "pilot", "pilot@sha256:00", ""])
def test_an_image_without_a_tag_has_no_version(image: str) -> None:
    odd = istiod()
    odd["spec"]["template"]["spec"]["containers"][0]["image"] = image
    assert planes(by_kind(odd))[0].version == ""


def test_the_root_namespace_is_what_the_mesh_says() -> None:
    assert root_namespace(by_kind(), HOME) == HOME
    assert root_namespace(by_kind(config("istio", mesh="rootNamespace: mesh-root\n")), HOME) == "mesh-root"
    assert root_namespace(by_kind(config("istio", mesh="- no\n- map\n")), HOME) == HOME


def test_a_policy_of_another_root_namespace_counts() -> None:
    objects = [
        workload("web"),
        config("istio", mesh="rootNamespace: mesh-root"),
        peer_authentication("default", "STRICT", "mesh-root"),
        peer_authentication("default", "DISABLE", HOME),
    ]
    assert seen(*objects).mtls.workload.mode is Mode.STRICT


# -- rules of callers

OFF = {"tls": {"mode": "DISABLE"}}


@pytest.mark.parametrize(
    ("host", "home", "covered"),
    [
        ("web", "shop", True),
        ("web", "front", False),
        ("web.shop", "front", True),
        ("web.shop.svc", "front", True),
        ("web.shop.svc.cluster.local", "front", True),
        ("*.shop.svc.cluster.local", "front", True),
        ("*.local", HOME, True),
        ("*.front.svc.cluster.local", HOME, False),
        ("other.shop.svc.cluster.local", "shop", False),
        ("web.example.com", "shop", False),
    ],
)
def test_hosts_of_rules(host: str, home: str, covered: bool) -> None:
    assert bool(client_rules([service("web")], [destination_rule("r", host, OFF, home)])) is covered


@pytest.mark.parametrize(
    ("policy", "more", "found"),
    [
        ({"tls": {"mode": "ISTIO_MUTUAL"}}, {}, []),
        ({"connectionPool": {}}, {}, []),
        ({"tls": {}}, {}, [("spec.trafficPolicy.tls", "DISABLE")]),
        ({"tls": {"mode": "SIMPLE"}}, {}, [("spec.trafficPolicy.tls", "SIMPLE")]),
        ({"portLevelSettings": [{}, OFF]}, {}, [("spec.trafficPolicy.portLevelSettings[1].tls", "DISABLE")]),
        ({}, {"subsets": [{"trafficPolicy": OFF}]}, [("spec.subsets[0].trafficPolicy.tls", "DISABLE")]),
    ],
)
def test_every_field_that_can_turn_tls_off(policy: Json, more: dict[str, Any], found: list[tuple[str, str]]) -> None:
    rules = client_rules([service("web")], [destination_rule("r", "web", policy, **more)])
    assert [(it.path, it.mode) for it in rules] == found


def test_rules_that_only_some_callers_follow() -> None:
    private = destination_rule("a", "web.shop", OFF, "front", exportTo=["."])
    chosen = destination_rule("b", "web.shop", OFF, "front", workloadSelector={"matchLabels": {"app": "x"}})
    public = destination_rule("c", "web.shop", OFF, "front")
    assert [it.callers for it in client_rules([service("web")], [private, chosen, public])] == ["front", "front", ""]


def test_only_services_that_send_to_the_unit_count() -> None:
    objects = [workload("web"), service("web"), service("other"), destination_rule("r", "other", OFF)]
    view = seen(*objects)
    assert [it["metadata"]["name"] for it in view.services] == ["web"]
    assert view.rules == ()


# -- remedies


def test_enrolling_is_a_patch_of_the_pod_template() -> None:
    mesh = Istio()
    assert mesh.enrol(unit_of(workload("web")), ()).startswith("kubectl patch deployment web -n shop --type merge -p '")
    cron = mesh.enrol(unit_of(cron_job("report", "@daily")), ())
    labels = '{"labels":{"sidecar.istio.io/inject":"true"}}'
    assert f'{{"jobTemplate":{{"spec":{{"template":{{"metadata":{labels}}}}}}}}}' in cron
    assert mesh.enrol(unit_of(pod("debug")), ()).startswith("make Pod/debug in shop anew with the pod labels")


def test_where_no_revision_is_the_default_the_patch_names_one() -> None:
    objects = by_kind(istiod("v2"), webhooks("v2"), webhooks("v2", "prod"))
    command = Istio().enrol(unit_of(workload("web", STATEFUL_SET)), Istio().control_planes(objects))
    assert '"istio.io/rev":"prod"' in command
    objects = by_kind(istiod(), istiod("v2"), webhooks(), webhooks("v2"))
    assert "istio.io/rev" not in Istio().enrol(unit_of(workload("web")), Istio().control_planes(objects))


def test_an_exception_is_for_ports_of_one_workload() -> None:
    made = template("web", {"pod-template-hash": "x", "sidecar.istio.io/inject": "true"})
    unit = unit_of(pod("web", made=made))
    command = Istio().excuse(unit, [9090], seen(unit.raw))
    assert '"selector":{"matchLabels":{"app":"web"}}' in command
    assert '"portLevelMtls":{"9090":{"mode":"PERMISSIVE"}}' in command


def test_an_exception_goes_into_the_policy_that_counts_already() -> None:
    old = peer_authentication("old", None, selector={"app": "web"})
    unit = unit_of(workload("web"))
    command = Istio().excuse(unit, [9090], seen(unit.raw, old))
    patch = '{"spec":{"portLevelMtls":{"9090":{"mode":"PERMISSIVE"}}}}'
    assert command == f"kubectl patch peerauthentication old -n shop --type merge -p '{patch}'"


# -- the driver


def test_what_is_read_of_one_namespace_and_of_all() -> None:
    one = {(it.kind.name, it.namespace) for it in Istio().reads("shop", HOME)}
    assert {("PeerAuthentication", "shop"), ("PeerAuthentication", HOME), ("DestinationRule", "")} <= one
    assert {("Service", "shop"), ("Deployment", HOME), ("Namespace", "")} <= one
    assert ("PeerAuthentication", "") in {(it.kind.name, it.namespace) for it in Istio().reads("", HOME)}


def test_sidecars_need_a_restart_and_have_a_shadow() -> None:
    assert Capability.RESTART_TO_ENROL in Istio().capabilities
    assert Capability.SHADOW_STRICT in Istio().capabilities
    assert Capability.ENROL_PODS not in Istio().capabilities


def test_a_live_label_on_a_pod_gives_it_another_mode() -> None:
    objects = deployed("web", pods=2)
    objects[2]["metadata"]["labels"]["strict"] = "canary"
    view = seen(*objects, peer_authentication("canary", "STRICT", selector={"strict": "canary"}))
    assert view.mtls.workload.mode is Mode.PERMISSIVE
    assert {name: it.workload.mode for name, it in view.pods.items()} == {"web-1-0": Mode.STRICT}


def test_without_pods_the_template_says_whether_a_unit_is_in_the_mesh() -> None:
    cron = cron_job("report", "@daily")
    found: tuple[Unit, ...] = units(by_kind(cron))
    assert [it.kind for it in found] == [CRON_JOB]
    assert not seen(cron, namespace(), webhooks()).meshed
    assert seen(cron, namespace(istio_injection="enabled"), webhooks()).meshed
    assert POD not in {it.kind for it in found}
