"""check: is everything there that an installation, or a plan, needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rollout import checks
from rollout.checks import adoption
from rollout.cli.exit import Code
from rollout.cli.options import Common, Format
from rollout.cli.out import Printer
from rollout.cli.render import check as render
from rollout.cli.session import connected


def check(common: Common, source: str | None, *, pre: bool) -> int:
    """Look, print, and exit with 1 when there is an error."""
    return asyncio.run(_check(common, source, pre=pre))


def check_mesh(common: Common, revision: str) -> int:
    """The same for the namespace on its way into a mesh."""
    return asyncio.run(_check_mesh(common, revision))


async def _check(common: Common, source: str | None, *, pre: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        missing = source is not None and await session.engine.crds_missing()
        given = None if source is None or missing else await session.given(source, common.namespace)
        namespace = given.plan.metadata.namespace if given else session.namespace
        plan, templates = (given.raw, given.templates) if given else (None, {})
        results = await checks.run(session.world, namespace, plan, pre=pre, templates=templates)
    return _tell(printer, results, short=common.output is Format.SHORT)


async def _check_mesh(common: Common, revision: str) -> int:
    async with connected(common) as session:
        results = await adoption.run(session.world, session.namespace, adoption.Adopted(revision=revision))
    return _tell(Printer(common), results, short=common.output is Format.SHORT)


def _tell(printer: Printer, results: Sequence[checks.Result], *, short: bool) -> int:
    printer.emit(lambda: render.as_json(results), lambda: render.table(results, short=short))
    return Code.ERROR if render.failed(results) else Code.GOOD
