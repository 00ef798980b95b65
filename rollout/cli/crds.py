"""crds: the kinds, printed or installed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml

from rollout.cli.exit import Code
from rollout.cli.options import Common, Format
from rollout.cli.out import Printer
from rollout.cli.session import connected
from rollout.install.apply import apply as apply_documents
from rollout.plan import holdpolicy, schema
from rollout.plan.base import Json
from rollout.ports.world import World


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
    """Create each object, or bring it up to date; one line for each.

    Raises:
        Unavailable: the API server does not serve a new kind in time.
    """
    return [str(done) async for done in apply_documents(world, wanted)]
