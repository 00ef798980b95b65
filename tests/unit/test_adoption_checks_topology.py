"""Topology (PF10, PF17, PF18, PF19): each obstacle is found where it is, and gone after its fix."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.checks.adoption import Adopted
from rollout.checks.adoption.quantities import quantity, spell
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import DAEMON_SET, HPA, LIMIT_RANGE, PDB, POD, RESOURCE_QUOTA, SERVICE_ACCOUNT
from tests.kit.adoption import Case, Scene, app, cron, proves, scene, service, stateful, template, thing, workload

READY = template(app(readinessProbe={"httpGet": {"port": 8080}}), serviceAccountName="web")
HEADLESS = service({"port": 8080, "name": "http"}, clusterIP="None")
LINKERD = Adopted(driver="linkerd")


def rolling(most: int | str = 0, surge: int | str = 1) -> Json:
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most, "maxSurge": surge}}}


def budget(**spec: Any) -> Json:
    return thing(PDB, "web", {"selector": {"matchLabels": {"app": "web"}}, **spec})


ONE_GOES = budget(maxUnavailable=1)


def good(*objects: Json, replicas: int = 3, **spec: Any) -> Scene:
    return scene(workload(READY, replicas=replicas, **spec), service(), *(objects or [ONE_GOES]))


def scaler(metric: Json) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return thing(HPA, "web", {"scaleTargetRef": target, "maxReplicas": 9, "metrics": [metric]})


BY_POD = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
IN_MILLI = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}

FOUND = [
    (
        "RO510",
        Case(
            "pods that are not ready are called",
            Level.WARNING,
            "Service/web sends to pods of Deployment/web that are not ready",
            scene(workload(), service(publishNotReadyAddresses=True)),
            scene(workload(), service()),
        ),
    ),
    (
        "RO510",
        Case(
            "a port behind a headless Service that no Service declares",
            Level.WARNING,
            "no Service declares port 7000",
            scene(workload(template(app(ports=[{"containerPort": 8080}, {"containerPort": 7000}]))), HEADLESS),
            scene(workload(template(app(ports=[{"containerPort": 8080}]))), HEADLESS),
        ),
    ),
    (
        "RO510",
        Case(
            "a StatefulSet's pods have names",
            Level.INFO,
            "enrol it pod by pod",
            scene(stateful(), HEADLESS),
            scene(stateful(), service()),
            fixed=False,
        ),
    ),
    (
        "RO517",
        Case(
            "Recreate",
            Level.ERROR,
            "strategy Recreate: each restart, and enrolling is one, is an outage",
            good(strategy={"type": "Recreate"}),
            good(),
        ),
    ),
    (
        "RO517",
        Case(
            "all pods may go at once",
            Level.ERROR,
            "all 3 pods of Deployment/web may be gone at once",
            good(**rolling("100%")),
            good(**rolling("50%")),
        ),
    ),
    (
        "RO517",
        Case(
            "a StatefulSet of one",
            Level.ERROR,
            "the only pod of StatefulSet/web may be gone at once",
            scene(stateful(READY, replicas=1), service()),
            scene(stateful(READY, replicas=2), service()),
        ),
    ),
    (
        "RO517",
        Case("one pod", Level.WARNING, "Deployment/web has one pod", good(replicas=1), good(replicas=2)),
    ),
    (
        "RO517",
        Case(
            "no disruption budget",
            Level.INFO,
            "Deployment/web has no PodDisruptionBudget",
            good(thing(PDB, "other", {"selector": {"matchLabels": {"app": "other"}}, "maxUnavailable": 1})),
            good(),
            fixed=False,
        ),
    ),
    (
        "RO517",
        Case(
            "a budget of nothing",
            Level.WARNING,
            "PodDisruptionBudget/web lets no pod of Deployment/web be evicted",
            good(budget(maxUnavailable=0)),
            good(budget(minAvailable=2)),
        ),
    ),
    (
        "RO517",
        Case(
            "a budget of all pods",
            Level.WARNING,
            "lets no pod",
            good(budget(minAvailable=3)),
            good(budget(minAvailable="50%")),
        ),
    ),
    (
        "RO517",
        Case(
            "no readiness probe",
            Level.WARNING,
            "no container of Deployment/web has a readiness probe",
            scene(workload(replicas=3), service(), ONE_GOES),
            good(),
        ),
    ),
    (
        "RO517",
        Case(
            "an autoscaler in percent of the pod",
            Level.WARNING,
            "HorizontalPodAutoscaler/web scales Deployment/web by cpu in percent",
            good(scaler(BY_POD)),
            good(scaler(IN_MILLI)),
        ),
    ),
    (
        "RO519",
        Case(
            "the service account that everybody has",
            Level.WARNING,
            "Deployment/web uses the service account default",
            scene(workload()),
            scene(workload(READY)),
        ),
    ),
    (
        "RO519",
        Case(
            "one service account for two",
            Level.WARNING,
            "Deployment/web, CronJob/web use the service account web",
            scene(workload(READY), cron(READY)),
            scene(workload(READY), cron(template(serviceAccountName="report"))),
            # the first of both gets an account of the name that is shared
            fixed=False,
        ),
    ),
    (
        "RO519",
        Case(
            "no token, where the mesh needs it",
            Level.ERROR,
            "mounts no service account token",
            scene(workload(template(automountServiceAccountToken=False)), mesh=LINKERD),
            scene(workload(template(automountServiceAccountToken=False))),
        ),
    ),
    (
        "RO519",
        Case(
            "no token by the account",
            Level.ERROR,
            "mounts no service account token",
            scene(workload(READY), thing(SERVICE_ACCOUNT, "web", automountServiceAccountToken=False), mesh=LINKERD),
            scene(workload(READY), thing(SERVICE_ACCOUNT, "web"), mesh=LINKERD),
        ),
    ),
]


@pytest.mark.parametrize(("code", "case"), FOUND, ids=str)
def test_pods_are_found_restarted_and_told_apart(code: str, case: Case) -> None:
    proves(case, code)


def test_what_serves_nobody_may_restart_as_it_likes() -> None:
    assert not scene(workload(replicas=1, strategy={"type": "Recreate"})).found("RO517")


def quota(used: Json | None = None, **hard: str) -> Json:
    named = {key.replace("_", "."): value for key, value in hard.items()}
    return thing(RESOURCE_QUOTA, "team", {"hard": named}, status={"hard": named, "used": used or {}})


BIG = template(app(resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}))
# four proxies of 100m, and one pod of 1100m more while it restarts
NEEDED = {"used": {"requests.cpu": "4"}, "requests_cpu": "5500m"}
ROOM = [
    Case(
        "no CPU for the proxies and one pod more",
        Level.ERROR,
        "4000m are used, and the proxies with the pods that a restart adds need 1500m more",
        scene(workload(BIG, replicas=4), quota({"requests.cpu": "4"}, requests_cpu="5499m")),
        scene(workload(BIG, replicas=4), quota({"requests.cpu": "4"}, requests_cpu="5500m")),
    ),
    Case(
        "no memory, by its short name",
        Level.ERROR,
        "ResourceQuota/team allows 5Gi memory",
        scene(workload(BIG, replicas=4), quota({"memory": "4Gi"}, memory="5Gi")),
        scene(workload(BIG, replicas=4), quota({"memory": "4Gi"}, memory="6Gi")),
    ),
    Case(
        "the proxy's own annotations count",
        Level.ERROR,
        "requests.cpu",
        scene(
            workload(template(notes={"sidecar.istio.io/proxyCPU": "2"}), replicas=4),
            quota({"requests.cpu": "0"}, requests_cpu="9"),
        ),
        scene(
            workload(template(notes={"sidecar.istio.io/proxyCPU": "10m"}), replicas=4),
            quota({"requests.cpu": "0"}, requests_cpu="9"),
        ),
    ),
    Case(
        "no room for one pod more",
        Level.ERROR,
        "ResourceQuota/team allows 4 pods",
        scene(workload(replicas=4), quota({"pods": "4"}, pods="4")),
        scene(workload(replicas=4, **rolling(1, 0)), quota({"pods": "4"}, pods="4")),
    ),
    Case(
        "no limit is high enough",
        Level.ERROR,
        "allows 9 limits.cpu",
        scene(workload(replicas=4), quota({"limits.cpu": "0"}, limits_cpu="9")),
        scene(workload(replicas=4), quota({"limits.cpu": "0"}, limits_cpu="10")),
    ),
]


@pytest.mark.parametrize("case", ROOM, ids=str)
def test_pf18_the_quota_has_room(case: Case) -> None:
    proves(case, "RO518")


def test_pods_that_have_a_proxy_are_in_what_is_used() -> None:
    owner = {"ownerReferences": [{"uid": "uid-DaemonSet-web", "controller": True}]}
    agents = thing(DAEMON_SET, "web", {"template": template(), "updateStrategy": {"type": "RollingUpdate"}})
    meshed = thing(POD, "web-1", template(app(), {"name": "istio-proxy"})["spec"])
    meshed["metadata"] |= owner
    plain = thing(POD, "web-2", template()["spec"])
    plain["metadata"] |= owner
    assert scene(agents, meshed, plain, quota(requests_cpu="99m")).found("RO518")
    assert not scene(agents, meshed, plain, quota(requests_cpu="100m")).found("RO518")


def test_a_quota_with_a_scope_is_left_to_the_dry_run() -> None:
    scoped = quota(pods="0")
    scoped["spec"]["scopes"] = ["BestEffort"]
    assert not scene(workload(), scoped).found("RO518")


def limits(**rule: Any) -> Json:
    return thing(LIMIT_RANGE, "bounds", {"limits": [rule]})


SMALL = template(app(resources={"limits": {"cpu": "1"}}))
BOUNDS = [
    Case(
        "the proxy's limit is over that of containers",
        Level.ERROR,
        "LimitRange/bounds of shop has max.memory 512Mi, and with its proxy Deployment/web has 1024Mi",
        scene(workload(), limits(type="Container", max={"memory": "512Mi"})),
        scene(workload(), limits(type="Container", max={"memory": "1Gi"})),
    ),
    Case(
        "both together are over that of pods",
        Level.ERROR,
        "has max.cpu 2500m",
        scene(workload(SMALL), limits(type="Pod", max={"cpu": "2500m"})),
        scene(workload(SMALL), limits(type="Pod", max={"cpu": "3"})),
    ),
    Case(
        "the proxy asks for too little",
        Level.ERROR,
        "has min.cpu 200m",
        scene(workload(), limits(type="Container", min={"cpu": "200m"})),
        scene(workload(), limits(type="Container", min={"cpu": "100m"})),
    ),
    Case(
        "its limit is too far above its request",
        Level.ERROR,
        "has maxLimitRequestRatio.cpu 4",
        scene(workload(), limits(type="Container", maxLimitRequestRatio={"cpu": "4"})),
        scene(workload(), limits(type="PersistentVolumeClaim", maxLimitRequestRatio={"cpu": "4"})),
    ),
]


@pytest.mark.parametrize("case", BOUNDS, ids=str)
def test_pf18_limit_ranges_admit_the_proxy(case: Case) -> None:
    proves(case, "RO518")


def test_a_proxy_without_requests_needs_no_room() -> None:
    bare = Adopted(requests={}, limits={})
    tight = quota(requests_cpu="1", limits_memory="1Mi")
    known = scene(workload(**rolling(1, 0)), tight, limits(type="Container", min={"cpu": "9"}), mesh=bare)
    assert not known.found("RO518")
    assert replace(known, mesh=Adopted()).found("RO518")


@pytest.mark.parametrize(
    ("text", "number"),
    [("100m", "0.1"), ("1", "1"), ("1.5", "1.5"), ("1Ki", "1024"), ("1k", "1000"), ("2e3", "2000"), ("1u", "0.000001")],
)
def test_quantities(text: str, number: str) -> None:
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "1Q", "many", "1 Gi", "mi"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)


@given(st.integers(0, 10**6), st.sampled_from(["m", "Ki", "Mi", "k", ""]), st.sampled_from(["cpu", "limits.memory"]))
def test_a_spelled_quantity_is_never_less(number: int, unit: str, resource: str) -> None:
    amount = quantity(f"{number}{unit}")
    assert amount <= quantity(spell(resource, amount)) < amount + quantity("1Mi")
