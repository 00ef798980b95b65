"""crds: the kinds, printed or installed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import yaml

from rollout.cli.exit import Code
from rollout.cli.options import Common, Format
from rollout.cli.out import Printer
from rollout.cli.session import connected
from rollout.errors import Unavailable
from rollout.plan import holdpolicy, schema
from rollout.plan.base import Json
from rollout.plan.kinds import CRD, KINDS, Kind, ref_of
from rollout.ports.cluster import Cluster, guard_of
from rollout.ports.world import World

_PATIENCE: Final = 10
"""Seconds that the API server gets to serve a new kind."""


def documents(*, with_hold: bool) -> list[Json]:
    """The CRDs, and the hold policy where it is asked for."""
    return [*schema.crd_documents(), *(holdpolicy.documents() if with_hold else [])]


def show(common: Common, *, with_hold: bool) -> int:
    """Print them as YAML, ready for kubectl apply."""
    printer, found = Printer(common), documents(with_hold=with_hold)
    if common.output is Format.JSON:
        printer.emit(lambda: {"apiVersion": "v1", "kind": "List", "items": found}, str)
    else:
        printer.stdout.file.write(yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True))
    return Code.GOOD


def write_files(common: Common, folder: Path) -> int:
    """Write one file for each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    files = schema.render()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    written = [str(folder / name) for name in files]
    Printer(common).emit(lambda: {"written": written}, lambda: "\n".join(written), written)
    return Code.GOOD


def apply(common: Common, *, with_hold: bool) -> int:
    """Install them in the cluster."""
    return asyncio.run(_apply(common, documents(with_hold=with_hold)))


async def _apply(common: Common, wanted: list[Json]) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        done = await install(session.world, wanted)
    printer.emit(lambda: {"applied": done}, lambda: "\n".join(done), [line.partition(" ")[0] for line in done])
    printer.say("  next: rollout check")
    return Code.GOOD


async def install(world: World, wanted: list[Json]) -> list[str]:
    """Create each object, or bring its spec up to date; one line for each.

    Raises:
        Unavailable: the API server does not serve a new kind in time.
    """
    done = [f"{obj['kind']}/{obj['metadata']['name']} {await _install(world.cluster, obj)}" for obj in wanted]
    for kind in (KINDS[_version(obj), obj["spec"]["names"]["kind"]] for obj in wanted if obj["kind"] == CRD.name):
        await _served(world, kind)
    return done


def _version(crd: Json) -> str:
    return f"{crd['spec']['group']}/{crd['spec']['versions'][0]['name']}"


async def _served(world: World, kind: Kind) -> None:
    until = world.clock.now() + _PATIENCE
    while not await world.cluster.serves(kind):
        if world.clock.now() > until:
            raise Unavailable(f"{kind} is installed, and not served yet", hint="try again in a moment")
        await world.clock.sleep(0.2)


async def _install(cluster: Cluster, wanted: Json) -> str:
    found = await cluster.get(ref_of(wanted))
    if found is None:
        await cluster.create(wanted)
        return "created"
    ops: list[dict[str, Any]] = [{"op": "replace", "path": "/spec", "value": wanted["spec"]}]
    if await _same(cluster, wanted, found, ops):
        return "unchanged"
    await cluster.patch(ref_of(wanted), ops, guard_of(found))
    return "updated"


async def _same(cluster: Cluster, wanted: Json, found: Json, ops: list[dict[str, Any]]) -> bool:
    """Whether the API server would store what is there already; it fills in defaults, so only it can tell."""
    rehearsed = await cluster.patch(ref_of(wanted), ops, guard_of(found), dry_run=True)
    return bool(rehearsed["spec"] == found["spec"])
