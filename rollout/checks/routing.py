"""Routing: the router is installed, its kinds are served, and nothing would hide our routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.checks.subject import Checker, Subject
from rollout.observe.observer import read_routes
from rollout.plan.finding import Finding, Level


async def installed(subject: Subject) -> Sequence[Finding]:
    """Whether we have the router, and the cluster has its kinds."""
    if subject.program is None:
        return []
    name = subject.program.settings.router
    router = subject.world.routers.get(name)
    if router is None:
        known = ", ".join(sorted(subject.world.routers))
        text = f"router {name} is not installed here"
        return [Finding("RO233", Level.ERROR, text, fix=f"set spec.router.type to one of {known}")]
    reads = router.reads(subject.program.split)
    missing = [r.kind for r in reads if not r.optional and not await subject.world.cluster.serves(r.kind)]
    if not missing:
        return []
    text = f"the cluster does not serve {', '.join(f'{k.name} ({k.api_version})' for k in missing)}"
    return [Finding("RO233", Level.ERROR, text, fix=f"install {name}'s CRDs, or choose another spec.router.type")]


async def routes(subject: Subject) -> Sequence[Finding]:
    """What the router itself finds."""
    if subject.program is None:
        return []
    router, backends = subject.world.routers[subject.program.settings.router], subject.program.split
    return router.findings(backends, await read_routes(subject.world, router, backends))


CHECKERS: Final = (
    Checker("routing-router", "routing", "the router is installed", installed, fatal=True),
    Checker("routing-routes", "routing", "nothing hides or breaks the routes", routes),
)
