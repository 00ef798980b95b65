"""All checks of an adoption, run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from rollout.checks.adoption import (
    connections,
    injector,
    jobs,
    pods,
    policy,
    protocols,
    room,
    scraping,
    topology,
    traffic,
)
from rollout.checks.adoption.dryrun import dry_run
from rollout.checks.adoption.meshes import Adopted
from rollout.checks.adoption.read import read
from rollout.checks.adoption.surroundings import Checker, Outside, Surroundings
from rollout.checks.subject import Question, Result, unseen
from rollout.errors import RolloutError
from rollout.observe.units import READS
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import POD
from rollout.ports.mesh import Unit
from rollout.ports.world import World

_AT_ONCE: Final = 4
"""Dry runs under way at a time: each is a call of every webhook."""


def seen(s: Surroundings) -> Iterator[Finding]:
    """PF00: all units of the namespace, and the rules of others for it, can be looked at."""
    for look, why in sorted(s.unseen.items()):
        if look.kind in READS and look.place == "here":
            text = f"{look} of {s.name} cannot be seen, so they are not checked: {why}"
            fix = f"kubectl auth can-i list {look.kind.plural} -n {s.name}"
            yield Finding("RO500", Level.WARNING, text, where=f"Namespace/{s.name}", fix=fix)
    for look, why in sorted(s.narrowed.items()):
        text = f"{look.kind.plural} of other namespaces cannot be seen, and some may concern {s.name}: {why}"
        fix = f"kubectl auth can-i list {look.kind.plural}.{look.kind.group} -A"
        yield Finding("RO500", Level.WARNING, text, where=f"Namespace/{s.name}", fix=fix)


CHECKERS: Final = (
    Checker("PF00", "workloads", "all workloads can be seen, and the rules for them", seen),
    *protocols.CHECKERS,
    *pods.CHECKERS,
    *jobs.CHECKERS,
    *policy.CHECKERS,
    *topology.CHECKERS,
    *room.CHECKERS,
    *scraping.CHECKERS,
    *traffic.CHECKERS,
    *injector.CHECKERS,
    *connections.CHECKERS,
)
"""By category, in the order in which they are told."""
DRY_RUN: Final = Question("dry-run", "dry run", "a pod of each workload is admitted with its proxy")


def judge(s: Surroundings) -> list[Result]:
    """What every check that concerns this mesh finds; pure."""
    return [_look(it, s) for it in CHECKERS if s.adopted.driver in it.meshes]


def _look(checker: Checker, s: Surroundings) -> Result:
    blind = [f"{look} cannot be seen: {s.unseen[look]}" for look in checker.needs if look in s.unseen]
    if checker.observed and s.outside is None:
        blind.append("which hosts are called was not observed")
    return Result(checker, skipped="; ".join(blind)) if blind else Result(checker, tuple(checker.check(s)))


async def run(
    world: World, namespace: str, mesh: Adopted | None = None, outside: tuple[Outside, ...] | None = None
) -> list[Result]:
    """Every check's result, and what the API server says to a pod of each template. Changes nothing.

    Raises:
        NotFound: no such namespace.
        Retry: the API server does not answer.
    """
    mesh = mesh or Adopted()
    needs = {look for it in CHECKERS if mesh.driver in it.meshes for look in it.needs}
    s = await read(world, namespace, needs, mesh=mesh, outside=outside)
    return [*judge(s), await _dry_runs(world, s)]


async def _dry_runs(world: World, s: Surroundings) -> Result:
    if not await world.cluster.allowed("create", POD, s.name):
        return Result(DRY_RUN, skipped=f"you may not create pods in {s.name}")
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(unit: Unit) -> tuple[Finding, ...]:
        async with free:
            return await dry_run(world.cluster, unit, s.adopted)

    try:
        found = await asyncio.gather(*(one(unit) for unit in s.joining if unit.kind != POD))
    except RolloutError as error:
        return Result(DRY_RUN, skipped=unseen(error))
    return Result(DRY_RUN, tuple(finding for findings in found for finding in findings))
