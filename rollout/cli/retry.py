"""retry: try again what failed. A held step gets a new attempt; a run that has ended gets a successor."""

from __future__ import annotations

import asyncio

from rollout.cli import orders, submit
from rollout.cli.drive import Drive
from rollout.cli.exit import of_phase
from rollout.cli.naming import spelled
from rollout.cli.options import Common, duration
from rollout.cli.out import Printer
from rollout.cli.render import run as render
from rollout.cli.session import Session, connected, somebody
from rollout.cli.start import begin
from rollout.controller.view import RunView


def retry(common: Common, plan: str, *, reason: str, timeout: str | None, leave: bool) -> int:
    """Order it, or where nobody else could obey, do it: then this terminal drives the new run."""
    return asyncio.run(_retry(common, plan, reason=reason, limit=duration(timeout), leave=leave))


async def _retry(common: Common, plan: str, *, reason: str, limit: float | None, leave: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        view = await session.run(plan)
        if not view.state.phase.ended:
            answer = await orders.give(session, view, "retry", reason=reason, step=view.state.step)
            return orders.tell(printer, answer)
        if await session.controller(view.namespace) is not None:
            return await submit.renew(session, printer, view, "retry", reason=reason)
        view = await _here(session, printer, common, view, reason=reason)
        view = await Drive(session, printer, leave=leave, limit=limit).to_the_end(view)
    printer.emit(lambda: render.as_json(view), lambda: render.status(view), [render.name(view)])
    return of_phase(view.state.phase)


async def _here(session: Session, printer: Printer, common: Common, ended: RunView, *, reason: str) -> RunView:
    given = await session.given(spelled(ended.owner), common.namespace)
    because = f": {reason}" if reason else ""
    return await begin(session, printer, given, {}, by=f"{somebody()}, retry of {ended.name}{because}")
