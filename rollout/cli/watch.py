"""watch: the live view of a run that somebody else drives. Changes nothing."""

from __future__ import annotations

import asyncio

from rollout.cli.exit import of_phase
from rollout.cli.follow import following, interruptible
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import run as render
from rollout.cli.session import Session, connected
from rollout.cli.status import LOOK, look
from rollout.controller.view import RunView
from rollout.plan.run import Phase


def watch(common: Common, plan: str, *, run_id: str | None) -> int:
    """Follow until the run has ended or is held."""
    return asyncio.run(_watch(common, plan, run_id))


async def _watch(common: Common, plan: str, run_id: str | None) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        view = await session.run(plan, run_id)
        over = view.state.phase.ended
        if not over and not await session.driven(view):
            printer.warn(f"nobody drives this run; resume it with: rollout start {plan} -n {view.namespace}")
        view = await interruptible(follow(session, printer, view))
    printer.emit(lambda: render.as_json(view), lambda: render.status(view), [render.name(view)])
    return of_phase(view.state.phase)


async def follow(session: Session, printer: Printer, view: RunView) -> RunView:
    """Show a run that somebody else drives, until it has ended or is held."""
    with following(printer, session.world.clock, lambda: "Ctrl-C stops watching; the run goes on") as follower:
        follower(view)
        while not (view.state.phase.ended or view.state.phase is Phase.HELD):
            await session.world.clock.sleep(LOOK)
            view = await look(session, view)
            follower(view)
    return view
