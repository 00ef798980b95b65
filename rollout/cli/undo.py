"""undo: back to a version that ran before, without steps. Under way, the run is taken home for it first."""

from __future__ import annotations

import asyncio

from rollout.cli import goback, orders, submit
from rollout.cli.drive import Drive
from rollout.cli.exit import Code, UsageError, of_phase
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import run as render
from rollout.cli.session import Session, connected, somebody
from rollout.controller.view import RunView


def undo(common: Common, plan: str, *, reason: str, to_revision: int | None, yes: bool) -> int:
    """Order it, or where nobody else could obey, do it."""
    return asyncio.run(_undo(common, plan, reason=reason, to_revision=to_revision, yes=yes))


async def _undo(common: Common, plan: str, *, reason: str, to_revision: int | None, yes: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        latest = await session.engine.latest(session.namespace, plan)
        if latest is not None and not latest.state.phase.ended:
            return await _under_way(session, printer, latest, reason=reason, to_revision=to_revision, yes=yes)
        back = await goback.look(session, plan, to_revision)
        says = f"Deployment/{back.target} goes back to {back.what}, without steps and gates"
        orders.confirm(printer, says, f"undo {plan}?", yes=yes)
        if latest is not None and await session.controller(session.namespace) is not None:
            code = await submit.renew(session, printer, latest, "undo", reason=reason, to_revision=to_revision)
            _say_git(printer, session, plan)
            return code
        because = f": {reason}" if reason else ""
        view = await goback.go(session, back, by=f"{somebody()}, undo{because}")
        if view is not None:
            view = await Drive(session, printer, leave=True).to_the_end(view)
    if view is None:
        done = {"plan": plan, "deployment": back.target, "revision": back.revision, "images": dict(back.images)}
        printer.emit(lambda: done, lambda: f"Deployment/{back.target} asks for {back.what} again, which runs")
    else:
        ended = view
        printer.emit(lambda: render.as_json(ended), lambda: render.status(ended), [render.name(ended)])
    _say_git(printer, session, plan)
    return Code.GOOD if view is None else of_phase(view.state.phase)


async def _under_way(
    session: Session, printer: Printer, view: RunView, *, reason: str, to_revision: int | None, yes: bool
) -> int:
    if to_revision is not None:
        raise UsageError(
            f"run {view.name} is under way: undo goes back to the version that is stable",
            hint=f"leave --to-revision out, or first: rollout abort {view.spec.plan} -n {view.namespace}",
        )
    says = f"run {view.name} goes home, and the Deployment asks for the stable version again"
    orders.confirm(printer, says, f"undo run {view.name}?", yes=yes)
    code = orders.tell(printer, await orders.give(session, view, "undo", reason=reason))
    _say_git(printer, session, view.spec.plan)
    return code


def _say_git(printer: Printer, session: Session, plan: str) -> None:
    printer.say(f"  so that Git agrees, or the next sync takes it back: rollout handoff {plan} -n {session.namespace}")
