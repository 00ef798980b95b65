"""Rights: every verb on every kind that a run needs, by feature, in one table.

People are checked against it, and the installed roles are made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rollout.checks.subject import Checker, Subject
from rollout.plan.finding import Finding, Level
from rollout.plan.holdpolicy import NAME as HOLD_POLICY
from rollout.plan.kinds import (
    CANARY_PLAN,
    CONFIGMAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    EVENT,
    HPA,
    LEASE,
    METRIC_TEMPLATE,
    MUTATING_BINDING,
    PDB,
    PLAN_DECISION,
    PLAN_RUN,
    POD,
    PVC,
    REPLICASET,
    SERVICE,
    SIDECAR,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.ports.router import Read


@dataclass(frozen=True, slots=True)
class Need:
    """What a feature needs of one kind."""

    feature: str
    kind: Kind
    verbs: tuple[str, ...]
    name: str = ""
    """Only of the object with this name; empty for all."""


PLAN_STATUS: Final = replace(CANARY_PLAN, plural="canaryplans/status")
RUN_STATUS: Final = replace(PLAN_RUN, plural="planruns/status")

ENGINE: Final = (
    Need("read plans", CANARY_PLAN, ("get", "list")),
    Need("tell how a plan stands", PLAN_STATUS, ("patch",)),
    Need("keep the record", PLAN_RUN, ("get", "list", "create", "patch", "delete")),
    Need("remember how far a run got", RUN_STATUS, ("patch",)),
    Need("take orders", PLAN_DECISION, ("list",)),
    Need("read queries", METRIC_TEMPLATE, ("list",)),
)
"""What every engine needs for every plan."""

PERSON: Final = (
    Need("store the plan", CANARY_PLAN, ("create", "patch")),
    Need("give orders", PLAN_DECISION, ("create",)),
    Need("let one engine at a time drive a run", LEASE, ("get", "list", "create", "patch", "delete")),
)
"""What `rollout start` needs besides, with the verbs of its orders."""

UNATTENDED: Final = (
    Need("leave runs to a terminal that drives them, and clear up after one that died", LEASE, ("list", "delete")),
)
"""What a controller needs besides; it finds plans and orders stored, and leads by a lease of its own."""

RECORD: Final = (*ENGINE, *PERSON)
"""What every plan needs that is driven from a terminal."""

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

PREFLIGHT: Final = (
    Need("check that stable's configuration stays", CONFIGMAP, ("get",)),
    Need("check that two versions can share a volume", PVC, ("get",)),
    Need("check that autoscalers fit", HPA, ("list",)),
    Need("check that disruption budgets fit", PDB, ("list",)),
)
"""What some checks look at, and say so when they may not. Not Secrets: who may read them decides about the names."""

HOLD_MODE: Final = (Need("see whether the hold policy is installed", MUTATING_BINDING, ("get",), HOLD_POLICY),)
"""What finds the hold mode. Cluster-wide by nature."""

ROUTES: Final = ("create", "patch", "delete")
"""What a router does to the routes and rules that it reads."""

ISTIO: Final = (
    Need("split the traffic", VIRTUAL_SERVICE, ("list", *ROUTES)),
    Need("split the traffic", DESTINATION_RULE, ("list", *ROUTES)),
    Need("find the routes to a Service", SERVICE, ("list",)),
    Need("see which rules sidecars get", SIDECAR, ("list",)),
)
"""What the router `istio` needs: what it reads, and what it writes of that."""


def watched(needs: Iterable[Need]) -> tuple[Need, ...]:
    """The same for a controller, which reads from watches: what it reads it gets, lists and watches, of any name."""
    reads = frozenset({"get", "list"})
    return tuple(
        replace(need, verbs=("get", "list", "watch", *(v for v in need.verbs if v not in reads)), name="")
        if reads & set(need.verbs)
        else need
        for need in needs
    )


_WRITTEN: Final = frozenset({VIRTUAL_SERVICE, DESTINATION_RULE})
"""Kinds that routers write in the plan's namespace."""


async def record(subject: Subject) -> Sequence[Finding]:
    """The rights that every plan needs."""
    return await _missing(subject, (*ENGINE, *UNATTENDED) if subject.unattended else RECORD)


async def workload(subject: Subject) -> Sequence[Finding]:
    """The rights on the target and the candidate."""
    if subject.program is None or not subject.program.workload:
        return []
    return await _missing(subject, (*WORKLOAD, *(RELEASE if subject.hold_mode == "policy" else ())))


async def routes(subject: Subject) -> Sequence[Finding]:
    """The rights on the router's objects: to read them where it reads, to write them in the namespace."""
    if subject.program is None or subject.program.settings.router not in subject.world.routers:
        return []
    program, router = subject.program, subject.world.routers[subject.program.settings.router]
    found: list[Finding] = []
    for read in router.reads(program.split):
        if not await subject.world.cluster.serves(read.kind):
            continue
        found += await _unreadable(subject, read)
        if read.kind in _WRITTEN:
            need = Need("split the traffic", read.kind, ROUTES)
            found += await _missing(subject, (need,))
    return found


async def _unreadable(subject: Subject, read: Read) -> list[Finding]:
    """Reading the plan's own namespace is enough to split; what others would hide is then not seen."""
    needs = (Need("read routes", read.kind, ("list",)),)
    everywhere = await _missing(subject, needs, read.namespace)
    if not everywhere or read.namespace:
        return everywhere
    at_home = await _missing(subject, needs)
    blind = "rules of other namespaces that hide the split cannot be seen"
    return at_home or [
        replace(f, code="RO205", level=Level.WARNING, message=f"{f.message}; {blind}") for f in everywhere
    ]


async def _missing(subject: Subject, needs: Iterable[Need], namespace: str | None = None) -> list[Finding]:
    where = subject.namespace if namespace is None else namespace
    asked = [(need, verb) for need in needs for verb in need.verbs]
    answers = await asyncio.gather(*(subject.world.cluster.allowed(v, n.kind, where) for n, v in asked))
    lacking: dict[Need, list[str]] = {}
    for (need, verb), allowed in zip(asked, answers, strict=True):
        if not allowed:
            lacking.setdefault(need, []).append(verb)
    return [_finding(need, verbs, where) for need, verbs in lacking.items()]


def _finding(need: Need, verbs: list[str], namespace: str) -> Finding:
    plural, _, subresource = need.kind.plural.partition("/")
    resource = f"{plural}.{need.kind.group}" if need.kind.group else plural
    scope = f"in {namespace}" if namespace else "in all namespaces"
    flags = f"-n {namespace}" if namespace else "--all-namespaces"
    flags += f" --subresource={subresource}" if subresource else ""
    named = f"{resource}/{subresource}" if subresource else resource
    return Finding(
        "RO204",
        Level.ERROR,
        f"you may not {', '.join(verbs)} {named} {scope}; needed to {need.feature}",
        where=named,
        fix=f"have the verbs added to your Role; then kubectl auth can-i {verbs[0]} {resource} {flags}",
    )


CHECKERS: Final = (
    Checker("rights-record", "permissions", "you may keep the record of a run", record, needs_plan=False),
    Checker("rights-workload", "permissions", "you may hold the target and run its candidate", workload),
    Checker("rights-routes", "permissions", "you may read and split the routes", routes),
)
