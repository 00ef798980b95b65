"""Every verb on every kind that a run needs, by feature, in one table.

People are checked against it by `permissions`, and the installed roles are made of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from rollout.plan.holdpolicy import NAME as HOLD_POLICY
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    CANARY_PLAN,
    CHANGE_FREEZE,
    CONFIGMAP,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    ENVOY_FILTER,
    EVENT,
    HPA,
    JOB,
    LEASE,
    LIMIT_RANGE,
    METRIC_TEMPLATE,
    MUTATING_BINDING,
    MUTATING_WEBHOOK,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    NOTIFICATION_CHANNEL,
    PDB,
    PEER_AUTHENTICATION,
    PLAN_DECISION,
    PLAN_RUN,
    POD,
    PVC,
    REPLICASET,
    REQUEST_AUTHENTICATION,
    RESOURCE_QUOTA,
    SERVICE,
    SERVICE_ENTRY,
    SIDECAR,
    STATEFUL_SET,
    TELEMETRY,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.plan.program import Backends, Side
from rollout.ports.router import Router


@dataclass(frozen=True, slots=True)
class Need:
    """What a feature needs of one kind."""

    feature: str
    kind: Kind
    verbs: tuple[str, ...]
    name: str = ""
    """Only of the object with this name; empty for all."""


RUN_STATUS: Final = replace(PLAN_RUN, plural="planruns/status")


def engine(*kinds: Kind) -> tuple[Need, ...]:
    """What every engine needs for plans of these kinds."""
    of_plans = [
        need
        for kind in kinds
        for need in (
            Need("read plans", kind, ("get", "list")),
            Need("tell how a plan stands", replace(kind, plural=f"{kind.plural}/status"), ("patch",)),
        )
    ]
    return (
        *of_plans,
        Need("keep the record", PLAN_RUN, ("get", "list", "create", "patch", "delete")),
        Need("remember how far a run got", RUN_STATUS, ("patch",)),
        Need("take orders", PLAN_DECISION, ("list",)),
        Need("read queries", METRIC_TEMPLATE, ("list",)),
    )


def person(*kinds: Kind) -> tuple[Need, ...]:
    """What `rollout start` needs besides for plans of these kinds, with the verbs of its orders."""
    return (
        *(Need("store the plan", kind, ("create", "patch")) for kind in kinds),
        Need("give orders", PLAN_DECISION, ("create",)),
        Need("let one engine at a time drive a run", LEASE, ("get", "list", "create", "patch", "delete")),
    )


UNATTENDED: Final = (
    Need("leave runs to a terminal that drives them, and clear up after one that died", LEASE, ("list", "delete")),
)
"""What a controller needs besides; it finds plans and orders stored, and leads by a lease of its own."""


def driving(*kinds: Kind) -> tuple[Need, ...]:
    """What plans of these kinds need that are driven from a terminal."""
    return (*engine(*kinds), *person(*kinds))


WORKLOAD: Final = (
    Need("hold and release the target, run the candidate", DEPLOYMENT, ("get", "create", "patch", "delete")),
    Need("tell stable from new", REPLICASET, ("list",)),
    Need("see what pods lack", POD, ("list",)),
)
"""What plans with a target need."""

RELEASE: Final = (Need("release a revision that the policy holds", CANARY_PLAN, ("release",)),)
"""What the hold mode `policy` needs."""

TELL: Final = (Need("tell what happens, as Events", EVENT, ("create",)),)
"""What an engine does if it may, and goes without if not."""

NOTIFICATIONS: Final = (
    Need("tell people by their channels", NOTIFICATION_CHANNEL, ("get", "list")),
    Need("remember what was told", replace(NOTIFICATION_CHANNEL, plural="notificationchannels/status"), ("patch",)),
)
"""What telling people needs, besides each channel's Secret."""

FREEZES: Final = (Need("stand still in a freeze", CHANGE_FREEZE, ("list",)),)
"""What an engine reads if it may; who may not is not stopped by freezes."""

HOOKS: Final = (Need("run the Jobs of hooks", JOB, ("get", "create", "delete")),)
"""What hooks that are Jobs need. Who may make Jobs runs what he likes with any account of the namespace."""

PREFLIGHT: Final = (
    Need("check that stable's configuration stays", CONFIGMAP, ("get",)),
    Need("check that two versions can share a volume", PVC, ("get",)),
    Need("check that autoscalers fit", HPA, ("list",)),
    Need("check that disruption budgets fit", PDB, ("list",)),
)
"""What some checks look at, and say so when they may not. Not Secrets: who may read them decides about the names."""

HOLD_MODE: Final = (Need("see whether the hold policy is installed", MUTATING_BINDING, ("get",), HOLD_POLICY),)
"""What finds the hold mode. Cluster-wide by nature."""


def routing(routers: Iterable[Router]) -> tuple[Need, ...]:
    """What routers need: what they read and write, by their own word; a right is on all versions of a kind."""
    nothing = Backends("", "", "", Side(""), Side(""))
    found: dict[tuple[str, str], Need] = {}

    def add(kind: Kind, verbs: Iterable[str]) -> None:
        key = (kind.group, kind.plural)
        known = found.get(key, Need("split the traffic", kind, ()))
        found[key] = replace(known, verbs=tuple(dict.fromkeys((*known.verbs, *verbs))))

    for router in routers:
        for read in router.reads(nothing):
            # settings of others, by their name: such a router does without where it may not
            if not read.name:
                add(read.kind, ("list",))
        for kind, verbs in router.writes.items():
            add(kind, (verb for verb in _WRITE if verb in verbs))
    return tuple(found.values())


TEMPLATED: Final = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, CRON_JOB)
"""What makes pods from a template that can be changed."""
_WRITE: Final = ("create", "patch", "delete")

MESH: Final = (
    *(Need("ask for proxies by the pod template", it, ("list", "patch")) for it in TEMPLATED),
    *(Need("find the pods of each workload", it, ("list",)) for it in (JOB, REPLICASET)),
    Need("see proxies, and make single pods strict by a label", POD, ("list", "patch")),
    Need("ask for proxies by the namespace's label", NAMESPACE, ("get", "patch")),
    Need("see what leads to a workload", SERVICE, ("list",)),
    *(Need("set mTLS modes and policies", it, ("list", *_WRITE)) for it in (PEER_AUTHENTICATION, AUTHORIZATION_POLICY)),
)
"""What an adoption needs in its namespace, of Istio: what its driver reads and writes."""

MESH_TRAFFIC: Final = tuple(
    Need("apply the manifests of the stage traffic", it, ("list", *_WRITE))
    for it in (
        VIRTUAL_SERVICE,
        DESTINATION_RULE,
        SERVICE_ENTRY,
        SIDECAR,
        REQUEST_AUTHENTICATION,
        TELEMETRY,
        ENVOY_FILTER,
    )
)
"""What its stage `traffic` needs besides."""

MESH_UNATTENDED: Final = (Need("read anew a Sidecar that somebody else changed first", SIDECAR, ("get",)),)
"""What a controller needs besides: what it watches, an adoption writes, and canaries only read."""

MESH_PREFLIGHT: Final = (
    Need("check that callers find pods", ENDPOINT_SLICE, ("list",)),
    Need("check that proxies get through", NETWORK_POLICY, ("list",)),
    Need("check that proxies have room", RESOURCE_QUOTA, ("list",)),
    Need("check that proxies have room", LIMIT_RANGE, ("list",)),
    Need("check that autoscalers fit", HPA, ("list",)),
    Need("check that disruption budgets fit", PDB, ("list",)),
    Need("see how the mesh is installed", CONFIGMAP, ("get", "list")),
)
"""What the checks of an adoption look at, and say so when they may not."""

MESH_DRY_RUN: Final = (Need("ask the API server for a pod of each template, without making it", POD, ("create",)),)
"""What only people get: RBAC cannot tell a dry run from the making of pods. Without it that check is left out."""

MESH_AROUND: Final = (
    Need("see who injects proxies", MUTATING_WEBHOOK, ("list",)),
    Need("see which namespaces ask for proxies", NAMESPACE, ("list",)),
    Need("see what nodes can do", NODE, ("list",)),
)
"""What is cluster-wide by nature of what they look at."""


def watched(needs: Iterable[Need]) -> tuple[Need, ...]:
    """The same for a controller, which reads from watches: it lists and watches what it reads, of any name.

    It also gets what it gets without a watch, and what it changes: that is read anew when somebody else wrote first.
    """
    return tuple(
        replace(need, verbs=_of_watcher(need.verbs), name="") if {"get", "list"} & set(need.verbs) else need
        for need in needs
    )


def _of_watcher(verbs: tuple[str, ...]) -> tuple[str, ...]:
    gets = ("get",) if {"get", "patch"} & set(verbs) else ()
    return (*gets, "list", "watch", *(verb for verb in verbs if verb not in ("get", "list")))
