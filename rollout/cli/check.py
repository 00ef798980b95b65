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
from rollout.cli.session import Session, connected
from rollout.cli.source import Given, from_file, is_file
from rollout.plan.kinds import CANARY_PLAN


def check(common: Common, source: str | None, *, pre: bool) -> int:
    """Look, print, and exit with 1 when there is an error."""
    return asyncio.run(_check(common, source, pre=pre))


def check_mesh(common: Common, revision: str) -> int:
    """The same for the namespace on its way into a mesh."""
    return asyncio.run(_check_mesh(common, revision))


async def _check(common: Common, source: str | None, *, pre: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        given = None if source is None else await _given(session, source, common)
        namespace = given.plan.metadata.namespace if given else session.namespace
        plan, templates = (given.raw, given.templates) if given else (None, {})
        results = await checks.run(session.world, namespace, plan, pre=pre, templates=templates)
    return _tell(printer, results, short=common.output is Format.SHORT)


async def _given(session: Session, source: str, common: Common) -> Given | None:
    """The plan; none where the cluster does not know the kinds that it needs, which is what will be told then."""
    written = from_file(source, common.namespace, session.namespace) if is_file(source) else None
    if await session.engine.crds_missing(written.kind if written else CANARY_PLAN):
        return None
    return await (session.completed(written) if written else session.given(source, common.namespace))


async def _check_mesh(common: Common, revision: str) -> int:
    async with connected(common) as session:
        results = await adoption.run(session.world, session.namespace, adoption.Adopted(revision=revision))
    return _tell(Printer(common), results, short=common.output is Format.SHORT)


def _tell(printer: Printer, results: Sequence[checks.Result], *, short: bool) -> int:
    printer.emit(lambda: render.as_json(results), lambda: render.table(results, short=short))
    return Code.ERROR if render.failed(results) else Code.GOOD
