"""Rights: whether whoever starts a run may do what it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from rollout.checks.needs import (
    FREEZES,
    HOOKS,
    MESH,
    MESH_TRAFFIC,
    RELEASE,
    UNATTENDED,
    WORKLOAD,
    Need,
    driving,
    engine,
)
from rollout.checks.routing import served
from rollout.checks.subject import Checker, Subject
from rollout.plan.called import JobCall
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import Kind
from rollout.ports.router import Read


async def record(subject: Subject) -> Sequence[Finding]:
    """The rights that every plan needs."""
    kinds = subject.kinds
    found = await missing(subject, (*engine(*kinds), *UNATTENDED) if subject.unattended else driving(*kinds))
    unseen = [
        replace(f, code="RO205", level=Level.WARNING, message=f"{f.message}; no freeze of the cluster stops a run")
        for f in await missing(subject, FREEZES, "")
    ]
    return [*found, *unseen]


async def workload(subject: Subject) -> Sequence[Finding]:
    """The rights on the target and the candidate."""
    if subject.program is None or not subject.program.workload:
        return []
    return await missing(subject, (*WORKLOAD, *(RELEASE if subject.hold_mode == "policy" else ())))


async def hooks(subject: Subject) -> Sequence[Finding]:
    """The rights on the Jobs of hooks."""
    if subject.program is None or not any(isinstance(hook.how, JobCall) for hook in subject.program.hooks):
        return []
    return await missing(subject, HOOKS)


async def routes(subject: Subject) -> Sequence[Finding]:
    """The rights on the router's objects: to read them where it reads, to write them in the namespace."""
    if subject.program is None or subject.program.settings.router not in subject.world.routers:
        return []
    program, router = subject.program, subject.world.routers[subject.program.settings.router]
    found: list[Finding] = []
    for read in router.reads(program.split):
        kind = await served(subject, read)
        if kind is None:
            continue
        found += await _unreadable(subject, read, kind)
        if kind in router.writes:
            need = Need("split the traffic", kind, tuple(router.writes[kind]))
            found += await missing(subject, (need,))
    return found


async def _unreadable(subject: Subject, read: Read, kind: Kind) -> list[Finding]:
    """Reading the plan's own namespace is enough to split; what others would hide is then not seen."""
    if read.name:
        lacking = await missing(subject, (Need("read settings", read.kind, ("get",)),), read.namespace)
        defaults = f"{read.kind.name}/{read.name} in {read.namespace} cannot be read: its defaults are assumed"
        return [
            replace(f, code="RO205", level=Level.WARNING, message=f"{f.message}; {defaults}") if read.optional else f
            for f in lacking
        ]
    needs = (Need("read routes", kind, ("list",)),)
    everywhere = await missing(subject, needs, read.namespace)
    if not everywhere or read.namespace:
        return everywhere
    at_home = await missing(subject, needs)
    blind = "rules of other namespaces that hide the split cannot be seen"
    return at_home or [
        replace(f, code="RO205", level=Level.WARNING, message=f"{f.message}; {blind}") for f in everywhere
    ]


async def missing(subject: Subject, needs: Iterable[Need], namespace: str | None = None) -> list[Finding]:
    """The rights that are lacking in a namespace; the subject's when none is named, all when it is empty."""
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


async def mesh(subject: Subject) -> Sequence[Finding]:
    """The rights on the workloads of a namespace, on the mesh's rules for it, and on what the plan applies."""
    needs = (*MESH, *(need for need in MESH_TRAFFIC if need.kind in subject.applies))
    served = {kind: await subject.world.cluster.serves(kind) for kind in {need.kind for need in needs}}
    return await missing(subject, (need for need in needs if served[need.kind]))


RIGHTS_MESH: Final = Checker("rights-mesh", "permissions", "you may bring workloads into the mesh", mesh)
"""Of an adoption only."""
RIGHTS_RECORD: Final = Checker(
    "rights-record", "permissions", "you may keep the record of a run", record, needs_plan=False
)
CHECKERS: Final = (
    RIGHTS_RECORD,
    Checker("rights-workload", "permissions", "you may hold the target and run its candidate", workload),
    Checker("rights-hooks", "permissions", "you may run the Jobs of hooks", hooks),
    Checker("rights-routes", "permissions", "you may read and split the routes", routes),
)
