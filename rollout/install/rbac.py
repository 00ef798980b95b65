"""Rights: the controller's, one role for each feature, and the roles that people are given.

All rules come from the table in `checks.needs`, which is also what people are checked against.

The controller gets a ClusterRole for each feature, or with `namespaces` a Role in each of them.  What then stays
cluster-wide is unavoidable: to see freezes and the bindings of admission policies, the hold policy's among them, and
for an adoption the injecting webhooks, the nodes and the labels of namespaces: those kinds have no namespace.  It sees
no VirtualService of other namespaces then, as `rollout check` says with RO205, and nothing in the mesh's own namespace.

No right on Secrets.  A metrics provider or a channel that names one is granted that one, by its name, in its namespace:
`secrets`, or by hand `kubectl create role ... --verb=get --resource=secrets --resource-name=NAME` with a binding to the
account.

People: `rollout-view` and `rollout-edit` go into Kubernetes' own view and edit (and so into admin).  Deciding is given
on purpose: `rollout-approve` and `rollout-admin` go into nothing.  `rollout-drive` is for who drives runs from a
terminal where no controller does; it writes the record of a run, approvals included, so it decides as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rollout.checks.needs import (
    FREEZES,
    HOLD_MODE,
    HOOKS,
    MESH,
    MESH_AROUND,
    MESH_DRY_RUN,
    MESH_PREFLIGHT,
    MESH_TRAFFIC,
    MESH_UNATTENDED,
    NOTIFICATIONS,
    PREFLIGHT,
    RELEASE,
    TELL,
    UNATTENDED,
    WORKLOAD,
    Need,
    driving,
    engine,
    routing,
    watched,
)
from rollout.controller import leader
from rollout.install.options import CONTROLLER, Options, document, parts
from rollout.plan.base import Json
from rollout.plan.decisionpolicy import ADMIN, ADMIN_ROLE, APPROVE, APPROVE_ROLE
from rollout.plan.kinds import (
    CHANGE_FREEZE,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    EVENT,
    LEASE,
    METRIC_TEMPLATE,
    NOTIFICATION_CHANNEL,
    PLAN_DECISION,
    PLAN_RUN,
    PLANS,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
)
from rollout.ports.router import Router
from rollout.registry import routers

_GROUP: Final = "rbac.authorization.k8s.io"
_DESCRIPTION: Final = "kubernetes.io/description"
_READ: Final = ("get", "list", "watch")
_SEEN: Final = (*PLANS, PLAN_RUN, PLAN_DECISION, METRIC_TEMPLATE, NOTIFICATION_CHANNEL, CHANGE_FREEZE)
"""What everybody who looks at plans may see."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What the controller can do with one role."""

    name: str
    text: str
    needs: tuple[Need, ...]


ADOPTION: Final = Feature(
    "mesh-adoption",
    "Bring namespaces into a mesh: pod templates, labels, mTLS modes, policies.",
    (*MESH, *MESH_TRAFFIC, *MESH_UNATTENDED, *MESH_PREFLIGHT),
)
CORE: Final = Feature(
    "core",
    "Read plans and orders, keep the record of runs, tell what happens.",
    (*watched((*engine(*PLANS), *UNATTENDED)), *TELL),
)
HOLDS: Final = Feature("workload", "Hold and release Deployments, run candidates.", watched(WORKLOAD))
JOBS: Final = Feature("hooks", "Run the Jobs of hooks. Whoever writes plans can then run pods.", HOOKS)
LOOKS: Final = Feature("preflight", "Look at what a run could trip over before it starts.", PREFLIGHT)
HOLDING: Final = Feature("release", "Release what the hold policy holds.", RELEASE)
TELLING: Final = Feature("notifications", "Tell people through their channels.", watched(NOTIFICATIONS))
EVERYWHERE: Final = Feature(
    "hold-mode", "See whether the hold policy is installed; it has no namespace.", watched(HOLD_MODE)
)
FREEZING: Final = Feature("freezes", "See when nothing may change; a freeze has no namespace.", watched(FREEZES))
AROUND: Final = Feature("mesh-around", "See who injects proxies, for which namespaces and nodes.", MESH_AROUND)
ADOPTING: Final = (ADOPTION, AROUND)
"""What only plans of adoption need."""


def rbac(options: Options) -> list[Json]:
    """The controller's account and rights, and the roles of people."""
    account = document(
        SERVICE_ACCOUNT, CONTROLLER, options.namespace, automountServiceAccountToken=False
    )  # the pod mounts its token itself
    return [account, *_controller(options), *_leading(options.namespace), *_secrets(options), *people()]


def features(options: Options) -> tuple[Feature, ...]:
    """What this controller can do."""
    chosen = (*((HOLDING,) if options.hold == "policy" else ()), *((TELLING,) if options.notifications else ()))
    found = (CORE, HOLDS, *_splitting(), JOBS, LOOKS, ADOPTION, *chosen, EVERYWHERE, FREEZING, AROUND)
    missing = [part for part in parts() if part not in options.features]
    left_out = ADOPTING if "mesh-adoption" in missing else ()
    return tuple(it for it in found if it.name not in missing and it not in left_out)


def _splitting() -> Iterator[Feature]:
    """One for each router; those that are one part of an installation share one."""
    by_name: dict[str, list[Router]] = {}
    for name, router in routers().items():
        by_name.setdefault(router.part or name, []).append(router)
    # those that need no part come first
    for name, those in sorted(by_name.items(), key=lambda it: (bool(it[1][0].part), it[0])):
        yield Feature(name, f"Split traffic with {those[0].splits}.", watched(routing(those)))


def _controller(options: Options) -> Iterator[Json]:
    account = _account(options.namespace)
    for feature in features(options):
        name, rules = f"{CONTROLLER}-{feature.name}", _rules(feature.needs)
        if not options.namespaces or feature in (EVERYWHERE, FREEZING, AROUND):
            yield from _everywhere(name, feature.text, rules, options.namespace)
            continue
        # a channel beside the controller tells of all its namespaces
        home = (options.namespace,) if feature is TELLING else ()
        for namespace in dict.fromkeys((*options.namespaces, *home)):
            yield from _in(namespace, name, feature.text, rules, account)


def _leading(namespace: str) -> Iterator[Json]:
    """The leader's Lease: the controller writes it; everybody may read that one, to know whether a controller lives."""
    # a create names no object as far as RBAC sees it
    needs = (
        Need("lead", LEASE, ("create",)),
        Need("lead", LEASE, ("get", "patch"), leader.NAME),
    )
    name = f"{CONTROLLER}-leader"
    yield from _in(namespace, name, "Lead: one controller acts.", _rules(needs), _account(namespace))
    look = (Need("see who leads", LEASE, ("get",), leader.NAME),)
    everybody = {"apiGroup": _GROUP, "kind": "Group", "name": "system:authenticated"}
    text = "Know whether a controller lives, so that `rollout start` leaves the run to it."
    yield from _in(namespace, f"{CONTROLLER}-seen", text, _rules(look), everybody)


def _secrets(options: Options) -> Iterator[Json]:
    for namespace, name in options.secrets:
        rules = _rules((Need("use what it holds", SECRET, ("get",), name),))
        text = "Get into the Prometheus that a plan names, or write to the channel that names it."
        yield from _in(namespace, f"{CONTROLLER}-secret-{name}", text, rules, _account(options.namespace))


def people() -> list[Json]:
    """The ClusterRoles for people; bind them where they shall hold."""
    seen = tuple(Need("see", kind, _READ) for kind in _SEEN)
    view = (*seen, Need("see who drives a run", LEASE, ("get",)), Need("see what happened", EVENT, _READ))
    write = ("create", "update", "patch", "delete", "deletecollection")
    edit = tuple(Need("plan", kind, write) for kind in (*PLANS, METRIC_TEMPLATE, NOTIFICATION_CHANNEL))
    give = Need("give orders", PLAN_DECISION, ("create",))
    approve = (*view, give, *(Need("decide", kind, APPROVE) for kind in PLANS))
    admin = (*view, give, *(Need("decide", kind, (*APPROVE, *ADMIN)) for kind in PLANS), *RELEASE)
    drive = (
        *view,
        *driving(*PLANS),
        *WORKLOAD,
        *RELEASE,
        *routing(router for _, router in sorted(routers().items())),
        *PREFLIGHT,
        *HOLD_MODE,
        *MESH,
        *MESH_TRAFFIC,
        *MESH_PREFLIGHT,
        *MESH_DRY_RUN,
        *MESH_AROUND,
        *TELL,
        *NOTIFICATIONS,
        *FREEZES,
        *(Need("go home", kind, ("abort",)) for kind in PLANS),
    )
    return [
        _person("rollout-view", "See plans, runs and decisions. Part of view.", view, into="view"),
        _person("rollout-edit", "Write plans, queries and channels, decide nothing. Part of edit.", edit, into="edit"),
        _person(APPROVE_ROLE, "Approve, abort, pause, resume and retry.", approve),
        _person(ADMIN_ROLE, "All decisions: also skip, undo, promote without analysis, release.", admin),
        _person("rollout-drive", "Drive runs from a terminal, without a controller.", drive),
    ]


def _person(name: str, text: str, needs: Sequence[Need], into: str = "") -> Json:
    role = document(CLUSTER_ROLE, name, notes={_DESCRIPTION: text}, rules=_rules(needs))
    if into:
        role["metadata"]["labels"][f"{_GROUP}/aggregate-to-{into}"] = "true"
    return role


def _rules(needs: Iterable[Need]) -> list[Json]:
    """One rule for each kind and name, with all verbs that are needed of it."""
    verbs: dict[tuple[Kind, str], dict[str, None]] = {}
    for need in needs:
        verbs.setdefault((need.kind, need.name), {}).update(dict.fromkeys(need.verbs))
    return [
        {"apiGroups": [kind.group], "resources": [kind.plural]}
        | ({"resourceNames": [name]} if name else {})
        | {"verbs": list(wanted)}
        for (kind, name), wanted in verbs.items()
    ]


def _account(namespace: str) -> Json:
    return {"kind": SERVICE_ACCOUNT.name, "name": CONTROLLER, "namespace": namespace}


def _everywhere(name: str, text: str, rules: list[Json], home: str) -> Iterator[Json]:
    """A ClusterRole bound in the whole cluster. The binding's name tells controllers in two namespaces apart."""
    yield document(CLUSTER_ROLE, name, notes={_DESCRIPTION: text}, rules=rules)
    yield document(
        CLUSTER_ROLE_BINDING,
        f"{name}-{home}",
        roleRef=_ref(CLUSTER_ROLE, name),
        subjects=[_account(home)],
    )


def _in(namespace: str, name: str, text: str, rules: list[Json], subject: Mapping[str, str]) -> Iterator[Json]:
    """A Role bound in one namespace."""
    yield document(ROLE, name, namespace, notes={_DESCRIPTION: text}, rules=rules)
    yield document(ROLE_BINDING, name, namespace, roleRef=_ref(ROLE, name), subjects=[dict(subject)])


def _ref(kind: Kind, name: str) -> Json:
    return {"apiGroup": _GROUP, "kind": kind.name, "name": name}
