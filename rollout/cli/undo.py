"""undo: back to a version that ran before, without steps. Under way, the run is taken home for it first."""

from __future__ import annotations

import asyncio

from rich.text import Text

from rollout.cli import goback, orders, submit
from rollout.cli.drive import Drive
from rollout.cli.exit import UsageError, of_phase
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import run as render
from rollout.cli.render.words import GO
from rollout.cli.session import Session, connected
from rollout.controller.view import RunView
from rollout.errors import InvalidInput


def undo(common: Common, plan: str, *, reason: str, to_revision: int | None, yes: bool) -> int:
    """Order it, or where nobody else could obey, do it."""
    return asyncio.run(_undo(common, plan, reason=reason, to_revision=to_revision, yes=yes))


async def _undo(common: Common, plan: str, *, reason: str, to_revision: int | None, yes: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        latest = await session.run(plan)
        if latest.spec.program.adoption is not None:
            raise InvalidInput(
                f"an adoption is not undone like a version: {latest.name} is of a MeshAdoptionPlan",
                hint=f'under way, all of it is undone by: rollout abort {plan} -n {session.namespace} --reason "..."',
            )
        if not latest.state.phase.ended:
            return await _under_way(session, printer, latest, reason=reason, to_revision=to_revision, yes=yes)
        back = await goback.preview(session, plan, to_revision)
        says = f"Deployment/{back.target} goes back to {back.what}, without steps and gates"
        orders.confirm(printer, says, f"undo {plan}?", yes=yes)
        if await session.controller(session.namespace) is not None:
            code = await submit.renew(session, printer, latest, "undo", reason=reason, to_revision=to_revision)
        else:
            code = await _here(session, printer, latest, back, reason=reason, to_revision=to_revision)
        _say_git(printer, session, plan)
    return code


async def _here(
    session: Session, printer: Printer, ended: RunView, back: goback.Back, *, reason: str, to_revision: int | None
) -> int:
    """Nobody else would obey: see to it from this terminal."""
    answer = await orders.give(session, ended, "undo", reason=reason, to_revision=to_revision)
    answer, view = await goback.go(session, answer)
    if view is None:
        return orders.tell(printer, answer)
    printer.say(Text.assemble(GO, f" run {view.name} started: back to {back.what}"))
    end = await Drive(session, printer, leave=True).to_the_end(view)
    printer.emit(lambda: render.as_json(end), lambda: render.status(end), [render.name(end)])
    return of_phase(end.state.phase)


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
