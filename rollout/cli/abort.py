"""abort: take the traffic home, and see it arrive. Where no controller does it, this process does."""

from __future__ import annotations

import asyncio

from rollout.cli import orders
from rollout.cli.drive import Drive
from rollout.cli.exit import Code, of_phase
from rollout.cli.follow import interruptible
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import run as render
from rollout.cli.session import connected
from rollout.cli.watch import follow
from rollout.controller.view import RunView
from rollout.errors import InvalidInput
from rollout.plan.run import Phase


def abort(common: Common, plan: str, *, reason: str, yes: bool) -> int:
    """Write the order, or go home from here."""
    return asyncio.run(_abort(common, plan, reason=reason, yes=yes))


async def _abort(common: Common, plan: str, *, reason: str, yes: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        view = await session.run(plan)
        _possible(view)
        says = f"run {view.name} is at {render.position(view)}; {_costs(view)}"
        orders.confirm(printer, says, f"abort run {view.name}?", yes=yes)
        controlled = await session.controller(view.namespace) is not None
        answer = await orders.give(session, view, "abort", reason=reason)
        if answer.outcome is orders.Outcome.REFUSED:
            return orders.tell(printer, answer)
        if controlled:
            view = await interruptible(follow(session, printer, answer.view))
        else:
            if answer.outcome is orders.Outcome.WAITING:
                printer.say("nobody drives this run: going home from here")
            view = await Drive(session, printer, leave=True).to_the_end(view)
    printer.emit(lambda: render.as_json(view), lambda: render.status(view), [render.name(view)])
    # the abort came too late, or the way home is blocked: either way it is not what was asked for
    return Code.GOOD if view.state.phase is Phase.ABORTED else of_phase(view.state.phase) or Code.ERROR


def _costs(view: RunView) -> str:
    if view.spec.program.adoption is None:
        return "its traffic goes back to stable"
    lines = len(view.state.journal)
    return f"all that it did is undone ({lines} writes): pods that lose their proxies are made anew"


def _possible(view: RunView) -> None:
    at = f"-n {view.namespace}"
    if view.state.phase.ended:
        raise InvalidInput(
            f"run {view.name} has ended already: {view.state.phase}", hint=f"rollout why {view.name} {at}"
        )
    if view.state.committed:
        raise InvalidInput(
            f"run {view.name} is past the commit point: the Deployment has been released",
            hint=f"go on, or start the old version as a new one: rollout start {view.spec.plan} {at} --image C=OLD",
        )
