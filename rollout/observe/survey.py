"""A survey: everything that is known about the units of a namespace and the mesh, read once.

What may not be read is left out and said; it is never taken for empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.errors import Forbidden, Unsupported
from rollout.observe.hosts import hosts
from rollout.observe.units import READS, units
from rollout.plan.base import Json
from rollout.plan.gate import Provider
from rollout.plan.kinds import CRON_JOB, Kind, Ref
from rollout.ports.clock import Schedules, Timetable
from rollout.ports.mesh import ControlPlane, Mesh, MeshView, Traffic, Unit
from rollout.ports.router import Read
from rollout.ports.world import World

KNOWN: Final = 30.0
"""Seconds for which it is known who is in other namespaces."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found."""

    namespace: str
    """Empty when it is about all."""
    now: float
    planes: tuple[ControlPlane, ...]
    units: tuple[Unit, ...]
    views: Mapping[Ref, MeshView]
    traffic: Traffic
    timetables: Mapping[Ref, Timetable] = field(default_factory=dict)
    """Of the CronJobs whose schedule could be read."""
    unseen: tuple[str, ...] = ()
    """What may not be read, for people."""
    outside: tuple[Unit, ...] = ()
    """Where callers without a name were seen: units of other namespaces whose templates name a Service of this one."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at."""

    namespace: str
    """Empty for all."""
    home: str
    """Of the mesh."""
    window: float
    """Seconds of traffic."""
    provider: Provider | None = None


async def survey(world: World, mesh: Mesh, scope: Scope, schedules: Schedules) -> Survey:
    """Look once: one list per kind, one round of questions.

    Raises:
        Unsupported: the mesh's kinds are not served here.
        Forbidden: the units themselves may not be read.
    """
    questions = mesh.questions(scope.namespace, scope.window, scope.provider)
    found, (objects, unseen), readings = await asyncio.gather(
        read_units(world, scope.namespace),
        read_objects(world, mesh.reads(scope.namespace, scope.home), scope.namespace),
        world.metrics.ask(questions),
    )
    now, traffic = world.clock.now(), mesh.traffic(questions, scope.window, readings)
    views = mesh.views(found, objects, scope.home)
    outside: tuple[Unit, ...] = ()
    if scope.namespace and any(not it.secure and not it.source.name for it in traffic.edges):
        called = {f"{it['metadata']['name']}.{scope.namespace}" for view in views.values() for it in view.services}
        try:
            outside = await outsiders(world, scope.namespace, called)
        except Forbidden:
            unseen = (*unseen, "workloads of other namespaces")
    return Survey(
        namespace=scope.namespace,
        now=now,
        planes=mesh.control_planes(objects),
        units=found,
        views={**views, **mesh.views(outside, objects, scope.home)},
        traffic=traffic,
        timetables=_timetables((*found, *outside), schedules, now),
        unseen=unseen,
        outside=outside,
    )


async def outsiders(world: World, namespace: str, called: Collection[str]) -> tuple[Unit, ...]:
    """Units of other namespaces whose templates name one of these Services (`name.namespace`).

    Metrics have no name for callers without a proxy, but templates often name whom they call.  All of the cluster is
    read for that, so the answer may be as old as `KNOWN`.

    Raises:
        Forbidden: they may not be read.
    """

    async def ask() -> tuple[Unit, ...]:
        every = await read_units(world, "")
        return tuple(it for it in every if it.namespace != namespace and hosts(it).keys() & called)

    question = "outsiders", namespace, frozenset(called)
    return await world.memo.once(question, world.clock.monotonic(), KNOWN, ask)


async def read_units(world: World, namespace: str) -> tuple[Unit, ...]:
    """All units of a namespace, or of all where that is empty: one list per kind.

    Raises:
        Forbidden: they may not be read.
    """
    lists = await asyncio.gather(*(world.cluster.list(kind, namespace) for kind in READS))
    return units(dict(zip(READS, lists, strict=True)))


async def read_objects(
    world: World, reads: Sequence[Read], fallback: str
) -> tuple[dict[Kind, list[Json]], tuple[str, ...]]:
    """What a mesh asks for, by kind, and what of it may not be read."""
    answers = await asyncio.gather(*(_listed(world, read, fallback) for read in reads))
    objects: dict[Kind, list[Json]] = {}
    unseen = []
    for read, (found, whole) in zip(reads, answers, strict=True):
        if found is not None:
            objects.setdefault(read.kind, []).extend(found)
        if not whole:
            where = f"in {read.namespace}" if read.namespace else "of the cluster"
            unseen.append(f"{read.kind.plural} {where}" + (f" (only those in {fallback})" if found is not None else ""))
    return objects, tuple(unseen)


async def _listed(world: World, read: Read, fallback: str) -> tuple[list[Json] | None, bool]:
    """The objects, and whether these are all; None when none may be read."""
    try:
        return await world.cluster.list(read.kind, read.namespace), True
    except Unsupported:
        if not read.optional:
            raise
        return [], True
    except Forbidden:
        if read.namespace or not read.kind.namespaced or not fallback:
            return None, False
    try:
        return await world.cluster.list(read.kind, fallback), False
    except Forbidden:
        return None, False


_IDLE: Final = Timetable(None, 0.0)


def _timetables(found: Iterable[Unit], schedules: Schedules, now: float) -> dict[Ref, Timetable]:
    tables = {}
    for unit in found:
        if unit.kind == CRON_JOB:
            spec = unit.raw["spec"]
            table = _IDLE if spec.get("suspend") else schedules(spec["schedule"], spec.get("timeZone") or "", now)
            if table is not None:
                tables[unit.ref] = table
    return tables
