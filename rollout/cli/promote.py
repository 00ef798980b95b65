"""promote: a person lets a run go on."""

from __future__ import annotations

import asyncio

from rollout.cli import orders
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.session import connected


def promote(common: Common, plan: str, *, reason: str, full: bool, step: int | None, yes: bool) -> int:
    """Write the order; the engine that drives the run obeys it."""
    return asyncio.run(_promote(common, plan, reason=reason, full=full, step=step, yes=yes))


async def _promote(common: Common, plan: str, *, reason: str, full: bool, step: int | None, yes: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        view = await session.run(plan)
        orders.under_way(view)
        if full:
            says = f"all of {plan}'s traffic will go to the new version without the rest of the analysis"
            orders.confirm(printer, says, f"promote run {view.name} in full?", yes=yes)
        given_for = view.state.step if step is None else step - 1
        answer = await orders.give(session, view, "promote", reason=reason, full=full, step=given_for)
    return orders.tell(printer, answer)
