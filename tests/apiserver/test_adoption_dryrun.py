"""The dry run through a real API server's admission: what it refuses, and what it lets in, is told apart.

The injector is a MutatingAdmissionPolicy that adds the containers which Istio's webhook adds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rollout.adapters.kube.cluster import KubeCluster
from rollout.checks.adoption import Adopted
from rollout.checks.adoption.dryrun import dry_run
from rollout.observe.units import units
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import (
    CRON_JOB,
    DEPLOYMENT,
    LIMIT_RANGE,
    MUTATING_BINDING,
    MUTATING_POLICY,
    MUTATING_WEBHOOK,
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    STATEFUL_SET,
    Kind,
    Ref,
    kind_of,
    ref_of,
)
from rollout.ports.cluster import Guard, guard_of
from rollout.ports.mesh import Unit

pytestmark = pytest.mark.apiserver

MESH = Adopted(native_sidecars=True, cni=True)
PROXY = 'Object.spec.initContainers{name: "istio-proxy", image: "proxy", restartPolicy: "Always"}'
INIT = (
    # that of Istio adds capabilities, a list that an apply configuration may not hold
    'Object.spec.initContainers{name: "istio-init", image: "proxy", '
    "securityContext: Object.spec.initContainers.securityContext{privileged: true}}"
)
CLASSIC = 'Object.spec.containers{name: "istio-proxy", image: "proxy"}'


def unit(namespace: str, kind: Kind = DEPLOYMENT, **container: Any) -> Unit:
    """A unit whose own pods every level of Pod Security lets in."""
    safe = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    app = {"name": "app", "image": "example.com/app:1", "securityContext": safe, **container}
    template: Json = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [app]}}
    spec: Json = {"template": template}
    if kind == CRON_JOB:
        spec = {"jobTemplate": {"spec": spec}}
    if kind == STATEFUL_SET:
        app["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": {}}]
    meta = {"name": "web", "namespace": namespace, "uid": "u"}
    (found,) = units({kind: [{"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec}]})
    return found


Add = Callable[..., Awaitable[Json]]


@pytest.fixture
async def add(kube_cluster: KubeCluster, kube_namespace: str) -> AsyncIterator[Add]:
    """Creates an object; those that are in no namespace are deleted afterwards."""
    made: list[Json] = []

    async def create(kind: Kind, spec: Json | None = None, **parts: Any) -> Json:
        meta = {"name": f"rollout-{kube_namespace}"} | ({"namespace": kube_namespace} if kind.namespaced else {})
        obj = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, **parts}
        stored = await kube_cluster.create(obj | ({} if spec is None else {"spec": spec}))
        if not kind.namespaced:
            made.append(stored)
        return stored

    yield create
    for obj in made:
        await kube_cluster.delete(ref_of(obj), Guard(obj["metadata"]["uid"]))


def only(namespace: str) -> Json:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


async def injector(add: Add, namespace: str, *containers: str) -> None:
    """Adds these containers to every pod of the namespace that asks for a proxy."""
    parts = []
    for field in ("initContainers", "containers"):
        mine = [it for it in containers if it.startswith(f"Object.spec.{field}{{")]
        parts += [f"{field}: [{', '.join(mine)}]"] if mine else []
    expression = f"Object{{spec: Object.spec{{{', '.join(parts)}}}}}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    constraints = {
        "namespaceSelector": only(namespace),
        "objectSelector": {"matchLabels": dict(MESH.labels)},
        "resourceRules": [rule],
    }
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    policy = await add(
        MUTATING_POLICY,
        {
            "matchConstraints": constraints,
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [mutation],
        },
    )
    await add(MUTATING_BINDING, {"policyName": policy["metadata"]["name"]})


async def label(cluster: KubeCluster, namespace: str, level: str) -> None:
    obj = await cluster.get(Ref(NAMESPACE, "", namespace))
    assert obj is not None
    op = {"op": "add", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce", "value": level}
    await cluster.patch(ref_of(obj), [op], guard_of(obj))


async def eventually(cluster: KubeCluster, tried: Unit, code: str, mesh: Adopted = MESH) -> Finding | None:
    """The finding of this code, none for an empty code: admission reads its rules from watches, a moment later."""
    found: tuple[Finding, ...] = ()
    for _ in range(150):
        found = await dry_run(cluster, tried, mesh)
        if [it.code for it in found] == ([code] if code else []):
            return next(iter(found), None)
        await asyncio.sleep(0.1)
    raise AssertionError(f"not {code or 'nothing'} but {[str(it) for it in found]}")


async def refused(cluster: KubeCluster, tried: Unit, code: str, *words: str) -> Finding:
    finding = await eventually(cluster, tried, code)
    assert finding is not None
    assert finding.level is Level.ERROR
    for said in ("Deployment/web", *words):
        assert said in finding.message
    return finding


async def test_a_pod_with_its_proxy_is_let_in_and_not_stored(
    kube_cluster: KubeCluster, kube_namespace: str, add: Add
) -> None:
    await injector(add, kube_namespace, PROXY)
    for kind in (DEPLOYMENT, STATEFUL_SET, CRON_JOB):
        assert await eventually(kube_cluster, unit(kube_namespace, kind), "") is None
    assert not await kube_cluster.list(POD, kube_namespace)


async def test_a_pod_that_nobody_gives_a_proxy(kube_cluster: KubeCluster, kube_namespace: str) -> None:
    await refused(kube_cluster, unit(kube_namespace), "RO530", "is admitted without one")


@pytest.mark.parametrize("level", ["baseline", "restricted"])
async def test_pod_security_refuses_the_init_container_and_not_the_pod_without_it(
    kube_cluster: KubeCluster, kube_namespace: str, add: Add, level: str
) -> None:
    await label(kube_cluster, kube_namespace, level)
    await eventually(kube_cluster, unit(kube_namespace), "RO530")
    await injector(add, kube_namespace, INIT, PROXY)
    finding = await refused(kube_cluster, unit(kube_namespace), "RO507", f"Pod Security ({level})", "istio-init")
    assert "pilot.cni.enabled=true" in finding.fix


async def test_an_init_container_where_an_agent_should_do_its_work(
    kube_cluster: KubeCluster, kube_namespace: str, add: Add
) -> None:
    await injector(add, kube_namespace, INIT, PROXY)
    finding = await eventually(kube_cluster, unit(kube_namespace), "RO507")
    assert finding is not None
    assert finding.level is Level.WARNING
    assert "still get istio-init" in finding.message


async def test_a_cron_job_whose_proxy_would_stay(kube_cluster: KubeCluster, kube_namespace: str, add: Add) -> None:
    await injector(add, kube_namespace, CLASSIC)
    assert await eventually(kube_cluster, unit(kube_namespace), "") is None
    finding = await eventually(kube_cluster, unit(kube_namespace, CRON_JOB), "RO505")
    assert finding is not None
    assert "it never completes" in finding.message


async def test_a_quota_of_what_the_proxy_does_not_say_it_needs(
    kube_cluster: KubeCluster, kube_namespace: str, add: Add
) -> None:
    await injector(add, kube_namespace, PROXY)
    await add(RESOURCE_QUOTA, {"hard": {"requests.cpu": "100m"}})
    modest = {"requests": {"cpu": "50m"}}
    await refused(kube_cluster, unit(kube_namespace, resources=modest), "RO518", "failed quota", "istio-proxy")


async def test_a_quota_of_pods(kube_cluster: KubeCluster, kube_namespace: str, add: Add) -> None:
    await injector(add, kube_namespace, PROXY)
    await eventually(kube_cluster, unit(kube_namespace), "")
    await add(RESOURCE_QUOTA, {"hard": {"pods": "0"}})
    await refused(kube_cluster, unit(kube_namespace), "RO518", "exceeded quota", "pods=0")


async def test_a_limit_range_that_is_exceeded(kube_cluster: KubeCluster, kube_namespace: str, add: Add) -> None:
    await injector(add, kube_namespace, PROXY)
    await eventually(kube_cluster, unit(kube_namespace), "")
    await add(LIMIT_RANGE, {"limits": [{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}}]})
    too_much = {"limits": {"cpu": "2"}}
    await refused(kube_cluster, unit(kube_namespace, resources=too_much), "RO518", "maximum cpu usage per Container")


async def test_a_webhook_that_is_down_and_must_be_asked(
    kube_cluster: KubeCluster, kube_namespace: str, add: Add
) -> None:
    await injector(add, kube_namespace, PROXY)
    await eventually(kube_cluster, unit(kube_namespace), "")
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "rev.object.sidecar-injector.istio.io",
        "clientConfig": {"url": "https://127.0.0.1:1/inject"},
        "rules": [rule],
        "namespaceSelector": only(kube_namespace),
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    await add(MUTATING_WEBHOOK, webhooks=[hook])
    finding = await refused(kube_cluster, unit(kube_namespace), "RO520", "rev.object.sidecar-injector.istio.io")
    assert "rollout status deployments" in finding.fix


async def test_a_webhook_of_somebody_else_that_is_down(
    kube_cluster: KubeCluster, kube_namespace: str, add: Add
) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "audit.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/audit"},
        "rules": [rule],
        "namespaceSelector": only(kube_namespace),
        "sideEffects": "NoneOnDryRun",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
        "failurePolicy": "Fail",
    }
    await add(MUTATING_WEBHOOK, webhooks=[hook])
    finding = await refused(kube_cluster, unit(kube_namespace), "RO520", "audit.example.com")
    assert "grep" in finding.fix


async def test_a_pod_that_is_invalid_anyway(kube_cluster: KubeCluster, kube_namespace: str) -> None:
    broken = unit(kube_namespace, image="")
    await refused(kube_cluster, broken, "RO531", "image")
    assert kind_of(broken.raw) == DEPLOYMENT
