"""The controller as pods: a namespace, a Deployment of two, and what goes with it.

Restricted Pod Security, enforced by the namespace.  No CPU limit: a throttled leader loses its lease.  Two copies, of
which one leads; a rolling update starts the new copy first, so that there is always one to take the lease over.  Runs
live in the cluster, so a new version of the controller goes on with them where the old one stopped.

The NetworkPolicy lets in what asks for metrics and health.  It lets everything out, in so many words, for a namespace
may forbid by default: the address of the API server is no label, and each plan may name a Prometheus of its own.
"""

from __future__ import annotations

from typing import Final

from rollout.controller.leader import SERVES
from rollout.install.options import CONTROLLER, PORT, SELECTOR, Options, document, routers_of
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, NAMESPACE, NETWORK_POLICY, PDB, SERVICE

_SECURITY: Final = "pod-security.kubernetes.io"
_GRACE: Final = 30
"""Seconds to finish a turn and give up the lease."""


def namespace(options: Options) -> Json:
    """The controller's namespace."""
    obj = document(NAMESPACE, options.namespace)
    obj["metadata"]["labels"] |= {f"{_SECURITY}/{level}": "restricted" for level in ("enforce", "audit", "warn")}
    obj["metadata"]["labels"]["istio-injection"] = "disabled"
    return obj


def workload(options: Options) -> list[Json]:
    """Service, NetworkPolicy, disruption budget and, last, the Deployment."""
    budget = [_budget(options)] if options.replicas > 1 else []
    return [_service(options), _network(options), *budget, _deployment(options)]


def _service(options: Options) -> Json:
    port = {"name": "http", "port": PORT, "targetPort": "http"}
    spec = {"selector": dict(SELECTOR), "ports": [port]}
    return document(SERVICE, CONTROLLER, options.namespace, spec=spec)


def _network(options: Options) -> Json:
    spec = {
        "podSelector": {"matchLabels": dict(SELECTOR)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": PORT}]}],
        "egress": [{}],
    }
    return document(NETWORK_POLICY, CONTROLLER, options.namespace, spec=spec)


def _budget(options: Options) -> Json:
    """One copy must stay. Not with a single copy: its node could never be drained."""
    spec = {
        "minAvailable": 1,
        "selector": {"matchLabels": dict(SELECTOR)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return document(PDB, CONTROLLER, options.namespace, spec=spec)


def _deployment(options: Options) -> Json:
    labels = {**SELECTOR, "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"}
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "prometheus.io/path": "/metrics"}
    spec = {
        "replicas": options.replicas,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": dict(SELECTOR)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels, "annotations": scraped}, "spec": _pod(options)},
    }
    notes = {SERVES: ",".join(options.namespaces) or "*"}
    return document(DEPLOYMENT, CONTROLLER, options.namespace, notes=notes, spec=spec)


def _pod(options: Options) -> Json:
    return {
        "serviceAccountName": CONTROLLER,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(SELECTOR)},
            }
        ],
        "containers": [_container(options)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
    }


def _container(options: Options) -> Json:
    return {
        "name": "controller",
        "image": options.image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments(options),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 3},
        "startupProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 2, "failureThreshold": 60},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  the container's own, not this machine's
    }


def arguments(options: Options) -> list[str]:
    """The command line of the controller, without what is its default anyway."""
    words = ["controller", "run", f"--controller-namespace={options.namespace}", f"--port={PORT}"]
    for flag, value in (
        ("namespaces", ",".join(options.namespaces)),
        ("selector", options.selector),
        ("prometheus", options.prometheus),
        ("routers", ",".join(routers_of(options.features))),
    ):
        if value:
            words.append(f"--{flag}={value}")
    return words if options.notifications else [*words, "--no-notifications"]
