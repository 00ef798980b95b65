"""Istio's control plane in the in-memory cluster: what an installation leaves there, and the webhook that injects.

A pod gets a native sidecar when it is made and a webhook's selectors match it; one without a ready istiod behind it
fails the creation, as `failurePolicy: Fail` does.  Without an installation there is no webhook, and every caller that
says so is in the mesh: the world of canaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from rollout.adapters.memory.apiserver import ApiServer, Review
from rollout.adapters.memory.objects import Objects
from rollout.adapters.memory.policies import ROOT_NAMESPACE
from rollout.errors import Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, DEPLOYMENT, MUTATING_WEBHOOK, NAMESPACE, Kind, Ref

PROXY: Final = "istio-proxy"
REVISION: Final = "istio.io/rev"
_INJECT: Final = "sidecar.istio.io/inject"
_LEGACY: Final = "istio-injection"
_WEBHOOK: Final = "sidecar-injector.istio.io"
_NOTES: Final = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "15020",
    "prometheus.io/path": "/stats/prometheus",
}
"""The injector offers the proxy's port to scrapers instead of the application's."""


def attach_injector(server: ApiServer) -> None:
    """Have the API server ask the webhooks of whatever is installed."""

    def admit(review: Review) -> Json:
        return _admit(server.objects, review)

    server.webhooks.append(admit)


def installed(objects: Objects) -> bool:
    """Whether there is a control plane."""
    return any(True for _ in _istiods(objects))


def carried(pod: Json) -> bool:
    """Whether a proxy of its own carries the pod's traffic."""
    containers = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
    return any(it["name"] == PROXY for it in containers)


def installation(revision: str = "default", version: str = "1.31.4") -> list[Json]:
    """What an installation of a revision leaves in the cluster."""
    suffix = "" if revision == "default" else f"-{revision}"
    container = {"name": "discovery", "image": f"docker.io/istio/pilot:{version}"}
    labels = {"app": "istiod", REVISION: revision}
    istiod = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": {**labels, _INJECT: "false"}},
            "spec": {"containers": [container], "serviceAccountName": "istiod"},
        },
    }
    return [
        _object(NAMESPACE, ROOT_NAMESPACE, {}),
        _object(CONFIGMAP, f"istio{suffix}", {}, data={"mesh": f"rootNamespace: {ROOT_NAMESPACE}\n"}),
        _object(CONFIGMAP, f"istio-sidecar-injector{suffix}", {}, data={"config": "policy: enabled\n"}),
        _object(MUTATING_WEBHOOK, f"istio-sidecar-injector{suffix}", labels, webhooks=list(_webhooks(revision))),
        _object(DEPLOYMENT, f"istiod{suffix}", labels, spec=istiod),
    ]


def _object(kind: Kind, name: str, labels: Mapping[str, str], **parts: Any) -> Json:
    meta: Json = {"name": name} | ({"namespace": ROOT_NAMESPACE} if kind.namespaced else {})
    meta |= {"labels": dict(labels)} if labels else {}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, **parts}


def _webhooks(revision: str) -> Iterator[Json]:
    """The selectors of Istio's chart: a namespace's wish, else a pod's; the legacy label only for the default."""
    none = {"operator": "DoesNotExist"}
    willing = {"key": _INJECT, "operator": "NotIn", "values": ["false"]}
    named = {"key": REVISION, "operator": "In", "values": [revision]}
    rules: list[tuple[str, Sequence[Json], Sequence[Json]]] = [
        ("rev.namespace", [named, {"key": _LEGACY, **none}], [willing]),
        ("rev.object", [{"key": REVISION, **none}, {"key": _LEGACY, **none}], [willing, named]),
    ]
    if revision == "default":
        asked = {"key": _INJECT, "operator": "In", "values": ["true"]}
        unnamed = {"key": REVISION, **none}
        enabled = {"key": _LEGACY, "operator": "In", "values": ["enabled"]}
        rules += [
            ("namespace", [enabled], [willing]),
            ("object", [{"key": _LEGACY, **none}, unnamed], [asked, unnamed]),
        ]
    for prefix, namespaces, pods in rules:
        yield {
            "name": f"{prefix}.{_WEBHOOK}",
            "failurePolicy": "Fail",
            "namespaceSelector": {"matchExpressions": list(namespaces)},
            "objectSelector": {"matchExpressions": list(pods)},
        }


def _admit(objects: Objects, review: Review) -> Json:
    pod = review.new
    if pod["kind"] != "Pod" or review.old is not None or pod["spec"].get("hostNetwork") or carried(pod):
        return pod
    revision = _revision(objects, pod)
    if revision is None or _wish(pod) == "false":
        return pod
    if not any(_ready(it) for it in _istiods(objects) if it["metadata"]["labels"].get(REVISION) == revision):
        text = f'failed calling webhook "{_WEBHOOK}": no endpoints available for service "istiod"'
        raise Unavailable(f"Internal error occurred: {text}")
    return _injected(pod, revision)


def _wish(pod: Json) -> str:
    meta = pod["metadata"]
    notes = meta.get("annotations") or {}
    return str((meta.get("labels") or {}).get(_INJECT, notes.get(_INJECT, "")))


def _revision(objects: Objects, pod: Json) -> str | None:
    """Of the first webhook that takes the pod."""
    namespace = objects.get(Ref(NAMESPACE, "", pod["metadata"]["namespace"]))
    around = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    own = pod["metadata"].get("labels") or {}
    for configuration in objects.of(MUTATING_WEBHOOK):
        for webhook in configuration.get("webhooks") or ():
            takes = _selects(webhook.get("namespaceSelector"), around) and _selects(webhook.get("objectSelector"), own)
            if webhook["name"].endswith(_WEBHOOK) and takes:
                return str((configuration["metadata"].get("labels") or {}).get(REVISION, "default"))
    return None


def _selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    for term in (selector or {}).get("matchExpressions") or ():
        value = labels.get(term["key"])
        met = {
            "In": value in (term.get("values") or ()),
            "NotIn": value not in (term.get("values") or ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not met[term["operator"]]:
            return False
    return all(labels.get(key) == value for key, value in ((selector or {}).get("matchLabels") or {}).items())


def _injected(pod: Json, revision: str) -> Json:
    """The pod as the injector leaves it: a proxy that starts before, and ends after, the containers."""
    meta, spec = pod["metadata"], pod["spec"]
    proxy = {
        "name": PROXY,
        "image": "docker.io/istio/proxyv2:1.31.4",
        "args": ["proxy", "sidecar"],
        "restartPolicy": "Always",
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "ports": [{"name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP"}],
    }
    status = orjson.dumps({"initContainers": ["istio-init", PROXY], "containers": None, "revision": revision}).decode()
    notes = {**(meta.get("annotations") or {}), "sidecar.istio.io/status": status, **_NOTES, REVISION: revision}
    labels = {**(meta.get("labels") or {}), "security.istio.io/tlsMode": "istio"}
    return {
        **pod,
        "metadata": {**meta, "labels": labels, "annotations": notes},
        "spec": {**spec, "initContainers": [proxy, *(spec.get("initContainers") or ())]},
    }


def _istiods(objects: Objects) -> Iterator[Json]:
    for obj in objects.of(DEPLOYMENT, ROOT_NAMESPACE):
        if (obj["metadata"].get("labels") or {}).get("app") == "istiod":
            yield obj


def _ready(istiod: Json) -> bool:
    return bool((istiod.get("status") or {}).get("readyReplicas"))
