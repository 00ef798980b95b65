"""mesh report: how far each workload is from mTLS only, and who is in the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from rollout import registry
from rollout.adapters.schedule import timetable
from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common, duration
from rollout.cli.out import Printer
from rollout.cli.render import mesh as render
from rollout.cli.session import Session, connected
from rollout.errors import Unsupported
from rollout.observe.readiness import Scene, blockers, scene, standing
from rollout.observe.survey import Scope, Survey, survey
from rollout.plan.gate import Provider
from rollout.ports.mesh import Mesh, Unit

_PATIENCE = "1m"
"""A query over a day and a whole namespace may take longer than one of a gate."""


def report(common: Common, *, all_namespaces: bool, window: str, mesh: str, mesh_namespace: str | None) -> int:
    """Look once, and print."""
    if all_namespaces and common.namespace:
        raise UsageError("-A and -n contradict each other", hint="leave one of them out")
    known, back = driver(mesh), looking_back(window)
    return asyncio.run(_report(common, known, back, mesh_namespace, all_namespaces=all_namespaces))


def driver(name: str) -> Mesh:
    """The mesh of that name.

    Raises:
        UsageError: there is none.
    """
    known = registry.meshes()
    if name not in known:
        raise UsageError(f"there is no mesh {name}", hint=f"use one of: {', '.join(sorted(known))}")
    return known[name]


def looking_back(window: str) -> float:
    """Seconds of traffic.

    Raises:
        UsageError: there are none.
    """
    back = duration(window) or 0.0
    if back < 1:
        raise UsageError(f"a window of {window} has no traffic", hint="write it as 1h, 24h or 7d")
    return back


async def look(session: Session, common: Common, mesh: Mesh, scope: Scope) -> Survey:
    """A survey by the Prometheus of the command line.

    Raises:
        Unsupported: the mesh is not installed.
    """
    provider = Provider(address=common.prometheus, timeout=_PATIENCE) if common.prometheus else None
    try:
        return await survey(session.world, mesh, replace(scope, provider=provider), timetable)
    except Unsupported as error:
        raise Unsupported(f"{mesh.name} is not installed here: {error}", hint="install it, or name --mesh") from error


async def _report(common: Common, mesh: Mesh, window: float, home: str | None, *, all_namespaces: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        namespace = "" if all_namespaces else session.namespace
        found = await look(session, common, mesh, Scope(namespace, home or mesh.home, window))
    table = rows(mesh, found)
    if not table:
        where = f"namespace {namespace}" if namespace else "any namespace"
        printer.say(f"no workloads in {where}")
    printer.emit(
        lambda: render.as_json(mesh, found, table),
        lambda: render.table(mesh, found, table, wide=printer.wide) if table else "",
    )
    for what in found.unseen:
        printer.warn(f"  not seen, for want of rights: {what}")
    return Code.GOOD


def rows(mesh: Mesh, found: Survey) -> list[render.Row]:
    """A line for each unit."""
    seen = scene(mesh, found)
    return [_row(unit, seen) for unit in found.units]


def _row(unit: Unit, seen: Scene) -> render.Row:
    blocking = blockers(unit, seen)
    return render.Row(unit, seen.view(unit), seen.inbound(unit), standing(unit, seen, blocking), blocking)
