"""mesh policies: who may call whom, written from who did."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from rollout.cli.exit import Code
from rollout.cli.mesh import driver, look, looking_back
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.session import connected
from rollout.observe.readiness import scene
from rollout.observe.survey import Scope, Survey
from rollout.plan.base import Json, spell
from rollout.ports.mesh import Edge, Mesh, Unit


@dataclass(frozen=True, slots=True)
class Admission:
    """One workload, and who called it."""

    unit: Unit
    known: tuple[Edge, ...]
    """With an identity."""
    nameless: float
    """Requests and connections without one: no policy can admit these."""


def policies(common: Common, *, window: str, mesh: str, mesh_namespace: str | None) -> int:
    """Look once, and print."""
    return asyncio.run(_policies(common, driver(mesh), looking_back(window), mesh_namespace))


async def _policies(common: Common, mesh: Mesh, window: float, home: str | None) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        namespace = session.namespace
        found = await look(session, common, mesh, Scope(namespace, home or mesh.home, window))
    if found.traffic.problem:
        printer.warn(f"who called is not known: {found.traffic.problem}")
        return Code.ERROR
    admitted = list(admissions(mesh, found))
    made = [mesh.admit(it.unit, [edge.source.principal for edge in it.known]) for it in admitted if it.known]
    names = [f"{it['kind'].lower()}/{it['metadata']['name']}" for it in made]
    printer.emit(lambda: made, lambda: _text(made, admitted).rstrip("\n"), names)
    for it in admitted:
        if it.nameless:
            count = f"{max(1, round(it.nameless))} requests or connections"
            printer.warn(f"  {it.unit}: {count} came without an identity, and no policy can admit them")
        if not it.known:
            printer.warn(f"  {it.unit}: no caller with an identity was seen, so there is no policy for it")
    printer.say(f"  these are the callers of {spell(round(window))}: who calls more rarely is not among them")
    if not found.traffic.complete:
        printer.warn("  the metrics do not reach back so far")
    return Code.GOOD


def admissions(mesh: Mesh, found: Survey) -> Iterator[Admission]:
    """Whoever is called, and by whom."""
    seen = scene(mesh, found)
    for unit in found.units:
        if seen.serves(unit):
            edges = seen.inbound(unit)
            known = tuple(it for it in edges if it.secure and it.source.principal)
            yield Admission(unit, known, sum(it.amount for it in edges if it not in known))


def _text(made: Sequence[Json], admitted: Sequence[Admission]) -> str:
    """YAML, with who that is and how much it was in a comment."""
    parts = []
    for policy, it in zip(made, (it for it in admitted if it.known), strict=True):
        callers = {edge.source.principal: 0.0 for edge in it.known}
        for edge in it.known:
            callers[edge.source.principal] += edge.amount
        told = [f"# {principal.removeprefix('spiffe://')}: {amount:.0f}" for principal, amount in callers.items()]
        parts.append("\n".join([*told, yaml.safe_dump(policy, sort_keys=False)]))
    return "---\n".join(parts)
