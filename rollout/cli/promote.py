"""promote: a person lets a run go on."""

from __future__ import annotations

import asyncio

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common
from rollout.cli.out import Printer, confirmed
from rollout.cli.render import run as render
from rollout.cli.session import connected, somebody
from rollout.errors import InvalidInput


def promote(common: Common, plan: str, *, reason: str, full: bool, step: int | None, yes: bool) -> int:
    """Write the order; the engine that drives the run obeys it."""
    return asyncio.run(_promote(common, plan, reason=reason, full=full, step=step, yes=yes))


async def _promote(common: Common, plan: str, *, reason: str, full: bool, step: int | None, yes: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        view = await session.run(plan)
        if view.state.phase.ended:
            raise InvalidInput(
                f"run {view.name} has ended: {view.state.phase}", hint=f"rollout status {plan} -n {view.namespace}"
            )
        if full:
            printer.say(f"all of {plan}'s traffic will go to the new version without the rest of the analysis")
            if not confirmed(printer, f"promote run {view.name} in full?", yes=yes):
                raise UsageError("not confirmed, nothing was done", hint="answer y, or give --yes")
        given_for = view.state.step if step is None else step - 1
        decision = await session.engine.order(
            view.namespace, view.name, "promote", by=somebody(), reason=reason, full=full, step=given_for
        )
        driven = await session.engine.engine_alive(view)
    name = decision["metadata"]["name"]
    printer.emit(
        lambda: {"decision": name, "run": view.name, "verb": "promote", "full": full, "driven": driven},
        lambda: f"promotion of run {view.name} ordered at {render.position(view)}",
        [f"plandecision.meshrollout.dev/{name}"],
    )
    at = f"{plan} -n {view.namespace}"
    printer.say(f"  next: rollout watch {at}" if driven else f"  nobody drives this run; next: rollout start {at}")
    return Code.GOOD
