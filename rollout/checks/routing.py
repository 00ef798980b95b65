"""Routing: the router is installed, its kinds are served, and nothing would hide our routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.checks.subject import Checker, Subject
from rollout.errors import Forbidden
from rollout.observe.crowd import crowd, strangers
from rollout.observe.observer import read_routes
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import POD, SERVICE, Kind
from rollout.ports.router import Read


async def installed(subject: Subject) -> Sequence[Finding]:
    """Whether we have the router, and the cluster has its kinds."""
    if subject.program is None:
        return []
    name = subject.program.settings.router
    router = subject.world.routers.get(name)
    if router is None:
        known = ", ".join(sorted(subject.world.routers))
        text = f"router {name} is not installed here"
        fix = f"set spec.router.type to one of {known}, or see to it: rollout install --features"
        return [Finding("RO233", Level.ERROR, text, fix=fix)]
    reads = router.reads(subject.program.split)
    missing = [r.kind for r in reads if not r.optional and await served(subject, r) is None]
    if not missing:
        return []
    text = f"the cluster does not serve {', '.join(f'{k.name} ({k.api_version})' for k in missing)}"
    return [Finding("RO233", Level.ERROR, text, fix=f"install {name}'s CRDs, or choose another spec.router.type")]


async def served(subject: Subject, read: Read) -> Kind | None:
    """The version of a kind that this cluster would be read in."""
    for kind in read.kinds:
        if await subject.world.cluster.serves(kind):
            return kind
    return None


async def routes(subject: Subject) -> Sequence[Finding]:
    """What the router itself finds."""
    if subject.program is None:
        return []
    router, backends = subject.world.routers[subject.program.settings.router], subject.program.split
    objects = await read_routes(subject.world, router, backends)
    others = await _others(subject, objects.get(SERVICE, ()))
    known = crowd(subject.program, subject.deployment, subject.stable, others)
    return router.findings(backends, objects, known)


async def _others(subject: Subject, services: Sequence[Json]) -> list[Json]:
    """Pods behind the Service that are not the target's; none where they may not be seen (RO204 says so)."""
    if subject.program is None or subject.deployment is None:
        return []
    name = (subject.namespace, subject.program.split.service)
    mine = [it for it in services if (it["metadata"].get("namespace"), it["metadata"]["name"]) == name]
    selector = mine[0]["spec"].get("selector") if mine else None
    if not selector:
        return []
    try:
        pods = await subject.world.cluster.list(POD, subject.namespace, selector)
    except Forbidden:
        return []
    return strangers(pods, subject.replica_sets)


CHECKERS: Final = (
    Checker("routing-router", "routing", "the router is installed", installed, fatal=True),
    Checker("routing-routes", "routing", "nothing hides or breaks the routes", routes),
)
