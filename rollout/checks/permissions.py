"""Rights: every verb on every kind that a run needs, by feature, in one table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rollout.checks.subject import Checker, Subject
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import (
    CANARY_PLAN,
    DEPLOYMENT,
    DESTINATION_RULE,
    LEASE,
    METRIC_TEMPLATE,
    PLAN_DECISION,
    PLAN_RUN,
    POD,
    REPLICASET,
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


PLAN_STATUS: Final = replace(CANARY_PLAN, plural="canaryplans/status")
RUN_STATUS: Final = replace(PLAN_RUN, plural="planruns/status")

RECORD: Final = (
    Need("keep the record", CANARY_PLAN, ("get", "list", "create", "patch")),
    Need("tell how a plan stands", PLAN_STATUS, ("update",)),
    Need("keep the record", PLAN_RUN, ("get", "list", "create", "patch", "delete")),
    Need("remember how far a run got", RUN_STATUS, ("update",)),
    Need("take and give orders", PLAN_DECISION, ("list", "create")),
    Need("read queries", METRIC_TEMPLATE, ("list",)),
    Need("let one engine at a time drive a run", LEASE, ("get", "create", "patch", "delete")),
)
"""What every plan needs."""

WORKLOAD: Final = (
    Need("hold and release the target, run the candidate", DEPLOYMENT, ("get", "create", "patch", "delete")),
    Need("tell stable from new", REPLICASET, ("list",)),
    Need("see what pods lack", POD, ("list",)),
)
"""What plans with a target need."""

RELEASE: Final = (Need("release a revision that the policy holds", CANARY_PLAN, ("release",)),)
"""What the hold mode `policy` needs."""

_WRITTEN: Final = frozenset({VIRTUAL_SERVICE, DESTINATION_RULE})
"""Kinds that routers write in the plan's namespace."""


async def record(subject: Subject) -> Sequence[Finding]:
    """The rights that every plan needs."""
    return await _missing(subject, RECORD)


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
    for read in router.reads(program.backends):
        if not await subject.world.cluster.serves(read.kind):
            continue
        found += await _unreadable(subject, read)
        if read.kind in _WRITTEN:
            need = Need("split the traffic", read.kind, ("create", "patch", "delete"))
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
