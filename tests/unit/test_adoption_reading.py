"""What is read of a namespace, how Istio is installed, and what a refused or admitted Pod of a dry run means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollout import registry
from rollout.adapters.memory.world import World as Simulation
from rollout.checks.adoption import Adopted, run
from rollout.checks.adoption.dryrun import admitted, dry_run, pod_of, refused
from rollout.checks.adoption.installed import adopted, default_revision, revision_behind
from rollout.checks.adoption.read import read
from rollout.checks.adoption.surroundings import Look
from rollout.checks.subject import Result
from rollout.errors import Forbidden, NotFound, Rejected, RolloutError, Unavailable
from rollout.observe.units import units
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import (
    CONFIGMAP,
    CRON_JOB,
    DEPLOYMENT,
    DESTINATION_RULE,
    MUTATING_WEBHOOK,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    kind_of,
)
from rollout.ports.mesh import Unit
from rollout.ports.world import World
from tests.kit.adoption import app, cron, inject, stateful, template, thing, workload

MESH = Adopted(native_sidecars=True, cni=True)


def unit_of(obj: Json) -> Unit:
    (unit,) = units({kind_of(obj): [obj]})
    return unit


# --- how Istio is installed ------------------------------------------------------------------------------------------


def webhook(revision: str, tag: str = "") -> Json:
    labels = {"istio.io/rev": revision} | ({"istio.io/tag": tag} if tag else {})
    hooks = [{"name": "rev.namespace.sidecar-injector.istio.io"}]
    return thing(MUTATING_WEBHOOK, f"{revision}{tag}", labels=labels, webhooks=hooks)


def values(**parts: Any) -> Json:
    return thing(CONFIGMAP, "istio-sidecar-injector", data={"values": json.dumps(parts)})


def istiod(image: str = "docker.io/istio/pilot:1.31.4", **env: str) -> Json:
    container = {"name": "discovery", "image": image, "env": [{"name": k, "value": v} for k, v in env.items()]}
    return thing(DEPLOYMENT, "istiod", {"template": {"spec": {"containers": [container]}}})


def node(kubelet: str) -> Json:
    return thing(NODE, kubelet, status={"nodeInfo": {"kubeletVersion": kubelet}})


NEW, OLD = node("v1.36.3"), node("v1.32.9-eks-1")


@pytest.mark.parametrize(
    ("control", "nodes", "native"),
    [
        ([istiod()], [NEW, NEW], True),
        ([istiod()], [NEW, OLD], False),
        ([istiod()], None, None),
        ([istiod("istio/pilot:1.26.2")], [NEW], False),
        ([istiod(ENABLE_NATIVE_SIDECARS="true")], [OLD], True),
        ([istiod(ENABLE_NATIVE_SIDECARS="false")], [NEW], False),
        ([istiod("example.com/pilot@sha256:abc")], [NEW], None),
        ([istiod(), istiod(ENABLE_NATIVE_SIDECARS="false")], [NEW], None),
        ([], [NEW], None),
    ],
)
def test_native_sidecars_are_where_istiod_and_every_node_have_them(
    control: list[Json], nodes: list[Json] | None, native: bool | None
) -> None:
    assert adopted(Adopted(), None, None, control, nodes).native_sidecars is native


def test_the_injectors_values_say_how_pods_are_changed() -> None:
    known = values(
        pilot={"cni": {"enabled": True}},
        sidecarInjectorWebhook={"rewriteAppHTTPProbe": False, "neverInjectSelector": [{"matchLabels": {"a": "b"}}]},
        **{"global": {"proxy": {"resources": {"requests": {"cpu": "5m"}}}}},
    )
    mesh = thing(CONFIGMAP, "istio", data={"mesh": "enablePrometheusMerge: false\n"})
    found = adopted(Adopted(), known, mesh, [], None)
    assert (found.cni, found.rewrites_probes, found.merges_metrics) == (True, False, False)
    assert (found.requests, found.limits) == ({"cpu": "5m"}, {})
    assert found.never_inject == ({"matchLabels": {"a": "b"}},)


def test_what_cannot_be_read_is_not_known() -> None:
    found = adopted(Adopted(), None, None, [], None)
    assert (found.cni, found.native_sidecars) == (None, None)
    assert found.requests == {"cpu": "100m", "memory": "128Mi"}


def test_a_tag_leads_to_its_revision_and_the_only_revision_is_the_default() -> None:
    assert revision_behind([webhook("1-31", "prod")], "prod") == "1-31"
    assert revision_behind([webhook("1-31", "default")], "") == "1-31"
    assert revision_behind([webhook("default")], "") == ""
    assert default_revision([webhook("canary")]) == "canary"
    assert default_revision([webhook("canary"), webhook("default")]) == ""
    assert default_revision([webhook("a"), webhook("b")]) == ""


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop() -> Simulation:
    simulation = Simulation()
    simulation.deploy_shop(replicas=2, rate=5)
    simulation.apply(thing(NAMESPACE, "shop", labels={"team": "web"}))
    simulation.run(5)
    return simulation


def world_of(simulation: Simulation) -> World:
    return World(
        simulation.cluster, simulation.metrics, simulation.clock, registry.routers(), registry.strategies(), "test"
    )


async def test_units_and_their_surroundings_are_read(shop: Simulation) -> None:
    shop.apply({**values(pilot={"cni": {"enabled": True}}), "metadata": {"name": "x", "namespace": "shop"}})
    config = values(pilot={"cni": {"enabled": True}})
    config["metadata"]["namespace"] = "istio-system"
    shop.apply(config)
    seen = await read(world_of(shop), "shop", [Look(NETWORK_POLICY)])
    assert [str(unit) for unit in seen.units] == ["Deployment/web in shop"]
    assert (seen.labels, seen.adopted.cni, seen.unseen) == ({"team": "web"}, True, {})


async def test_what_may_not_be_listed_is_told_and_the_rest_is_read(shop: Simulation) -> None:
    for kind in (CRON_JOB, NETWORK_POLICY, NODE):
        shop.cluster.deny("list", kind)
    shop.cluster.deny("get", NAMESPACE)
    seen = await read(world_of(shop), "shop", [Look(NETWORK_POLICY)])
    assert seen.name == "shop"
    assert {str(look) for look in seen.unseen} == {
        "cronjobs",
        "networkpolicies",
        "nodes in all namespaces",
        "namespaces",
    }
    assert len(seen.units) == 1


async def test_rules_of_other_namespaces_that_may_not_be_seen_leave_those_of_ours(shop: Simulation) -> None:
    shop.apply(thing(DESTINATION_RULE, "web", {"host": "web", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}))
    shop.cluster.deny("list", DESTINATION_RULE, "")
    results = {it.checker.id: it for it in await run(world_of(shop), "shop")}
    assert results["PF15"].state == "error"
    (finding,) = results["PF00"].findings
    assert (finding.code, finding.level) == ("RO500", Level.WARNING)
    assert "destinationrules of other namespaces cannot be seen" in finding.message


async def test_a_kind_that_is_not_served_has_no_objects(shop: Simulation) -> None:
    shop.cluster.server.unserved.add(NETWORK_POLICY)
    seen = await read(world_of(shop), "shop", [Look(NETWORK_POLICY)])
    assert not seen.unseen
    assert not seen.of(NETWORK_POLICY)


async def test_a_namespace_that_is_not_there(shop: Simulation) -> None:
    with pytest.raises(NotFound, match="there is no namespace nowhere"):
        await read(world_of(shop), "nowhere")


# --- the dry run -----------------------------------------------------------------------------------------------------


def test_the_pod_is_made_as_the_controller_would_make_it() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {}}]
    pods = template(app(volumeMounts=[{"name": "data", "mountPath": "/d"}]), nodeName="n1")
    pod = pod_of(unit_of(stateful(pods, volumeClaimTemplates=claims)), Adopted(revision="new"))
    assert pod["metadata"]["labels"] == {"app": "web", "sidecar.istio.io/inject": "true", "istio.io/rev": "new"}
    assert pod["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]
    assert "nodeName" not in pod["spec"]
    assert pod_of(unit_of(cron()), MESH)["spec"]["restartPolicy"] == "Never"


async def test_an_injected_pod_is_as_it_should_be_and_is_not_stored(shop: Simulation) -> None:
    shop.cluster.server.webhooks.append(inject)
    before = len(shop.objects.of(POD))
    assert await dry_run(shop.cluster, unit_of(workload()), MESH) == ()
    assert len(shop.objects.of(POD)) == before


async def test_a_pod_without_a_proxy_although_it_asked(shop: Simulation) -> None:
    (finding,) = await dry_run(shop.cluster, unit_of(workload()), MESH)
    assert (finding.code, finding.level) == ("RO530", Level.ERROR)
    assert "a pod of Deployment/web that asks for a proxy (sidecar.istio.io/inject=true)" in finding.message


def pod(starting: list[str], running: list[str]) -> Json:
    return {
        "spec": {
            "initContainers": [{"name": name} for name in starting],
            "containers": [{"name": name} for name in running],
        }
    }


@pytest.mark.parametrize(
    ("workload_", "answer", "code"),
    [
        (workload(), pod(["istio-proxy"], ["app"]), ""),
        (workload(), pod(["istio-validation"], ["app", "istio-proxy"]), ""),
        (workload(), pod(["istio-init"], ["app", "istio-proxy"]), "RO507"),
        (cron(), pod([], ["app", "istio-proxy"]), "RO505"),
        (cron(), pod(["istio-proxy"], ["app"]), ""),
    ],
)
def test_what_is_wrong_with_an_admitted_pod(workload_: Json, answer: Json, code: str) -> None:
    assert [it.code for it in admitted(unit_of(workload_), MESH, answer)] == ([code] if code else [])


def said(error: RolloutError) -> Finding:
    return refused(unit_of(workload()), MESH, error)


REFUSALS = [
    (
        Forbidden(
            'cannot create Pods in shop: pods "web-x" is forbidden: violates PodSecurity "restricted:latest": '
            'unrestricted capabilities (container "istio-init" must set capabilities.drop=["ALL"])'
        ),
        "RO507",
        "Pod Security (restricted) refuses a pod of Deployment/web with a proxy: unrestricted capabilities",
    ),
    (
        Forbidden(
            'pods "web-x" is forbidden: exceeded quota: team, requested: requests.cpu=1100m, used: requests.cpu=2, '
            "limited: requests.cpu=3"
        ),
        "RO518",
        "exceeded quota: team, requested: requests.cpu=1100m",
    ),
    (
        Forbidden("is forbidden: failed quota: team: must specify limits.cpu for: app"),
        "RO518",
        "must specify limits.cpu",
    ),
    (
        Forbidden("is forbidden: maximum cpu usage per Container is 1, but limit is 2"),
        "RO518",
        "maximum cpu usage per Container is 1",
    ),
    (
        Unavailable(
            'Internal error occurred: failed calling webhook "rev.object.sidecar-injector.istio.io": '
            'failed to call webhook: Post "https://istiod": connection refused'
        ),
        "RO520",
        "webhook rev.object.sidecar-injector.istio.io does not answer (Post",
    ),
    (
        Rejected('admission webhook "audit.example.com" does not support dry run'),
        "RO531",
        "webhook audit.example.com has side effects",
    ),
    (Rejected("spec.containers[0].image: Required value"), "RO531", "is refused: spec.containers[0].image"),
]


@pytest.mark.parametrize(("error", "code", "text"), REFUSALS)
def test_refusals_are_told_apart_by_their_words(error: RolloutError, code: str, text: str) -> None:
    finding = said(error)
    assert (finding.code, text in finding.message) == (code, True), finding.message
    assert finding.fix


def test_no_answer_is_no_refusal() -> None:
    with pytest.raises(Unavailable, match="no connection"):
        said(Unavailable("no connection to the API server"))


async def last(simulation: Simulation) -> Result:
    return (await run(world_of(simulation), "shop"))[-1]


async def test_who_may_not_create_pods_is_told_so(shop: Simulation) -> None:
    shop.cluster.deny("create", POD)
    assert (await last(shop)).skipped == "you may not create pods in shop"


async def test_bare_pods_and_those_in_the_nodes_network_are_not_tried(shop: Simulation) -> None:
    shop.cluster.server.webhooks.append(inject)
    shop.apply(thing(POD, "debug", {"containers": [{"name": "istio-proxy", "image": "x"}], "hostNetwork": True}))
    shop.apply(thing(POD, "shell", {"containers": [{"name": "sh", "image": "x"}]}))
    result = await last(shop)
    assert (result.findings, result.skipped) == ((), "")
