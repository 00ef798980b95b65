"""status: how a run stands, once or until something is reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from rich.text import Text

from rollout.cli.change import Change, NoRun, appeared, no_run
from rollout.cli.exit import Code, TimedOut, UsageError, of_phase
from rollout.cli.options import Common, duration
from rollout.cli.out import Printer
from rollout.cli.render import run as render
from rollout.cli.render.words import GOOD, named
from rollout.cli.session import Session, connected, readable
from rollout.cli.unread import told_of
from rollout.controller.view import RunView, StoredRun
from rollout.errors import NotFound, Retry
from rollout.plan.kinds import Ref, ref_of
from rollout.plan.run import Phase

Reached = Callable[[RunView], bool]
LOOK: Final = 1.0
"""Seconds between two looks while waiting."""


def status(
    common: Common,
    plan: str | None,
    *,
    change: Change,
    all_namespaces: bool,
    wait_for: str | None,
    timeout: str | None,
) -> int:
    """Print, or wait and print."""
    limit = duration(timeout)
    if plan is None:
        if wait_for or not change.any:
            raise UsageError(
                "--run, --image, --revision and --wait-for need a PLAN", hint="rollout status PLAN --wait-for done"
            )
        return asyncio.run(_all(common, all_namespaces=all_namespaces))
    if all_namespaces:
        raise UsageError("-A lists all plans", hint="leave PLAN out, or give its namespace with -n")
    return asyncio.run(_one(common, plan, change, awaited(wait_for) if wait_for else None, limit))


def awaited(wait_for: str) -> Reached:
    """What `done`, `approval` and `step=N` mean; several with commas. The end of a run is always an answer.

    Raises:
        UsageError: another word.
    """
    tests: list[Reached] = []
    for word in wait_for.split(","):
        name, equals, number = word.strip().partition("=")
        if name == "done" and not equals:
            continue
        if name == "approval" and not equals:
            tests.append(lambda view: view.state.phase is Phase.AWAITING_APPROVAL)
        elif name == "step" and number.isdigit() and int(number) > 0:
            step = int(number)
            tests.append(lambda view, step=step: view.state.step + 1 >= step)  # type: ignore[misc]
        else:
            raise UsageError(f"--wait-for {word} is unknown", hint="use done, approval or step=N")
    return lambda view: view.state.phase.ended or view.state.phase is Phase.HELD or any(test(view) for test in tests)


async def _one(common: Common, plan: str, change: Change, reached: Reached | None, limit: float | None) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        clock = session.world.clock
        until = None if limit is None else clock.now() + limit
        view = (
            await _now(session, plan, change)
            if reached is None
            else await appeared(session, printer, plan, change, until)
        )
        if isinstance(view, NoRun):
            _print_no_run(printer, view)
            return Code.GOOD
        if reached is not None:
            printer.say(f"run {view.name}")
            view = await _wait(session, view, reached, until)
        driven = None if view.state.phase.ended else await session.driven(view)
    seen = view
    printer.emit(
        lambda: {**render.as_json(seen), "driven": driven},
        lambda: render.status(seen, driven=driven),
        [render.name(seen)],
    )
    return of_phase(view.state.phase)


async def _now(session: Session, plan: str, change: Change) -> RunView:
    """The run of the change that there is.

    Raises:
        NotFound: there is none.
    """
    if change.any:
        return await session.run(plan)
    of = await session.plan(plan)
    runs = await session.engine.stored(of)
    if found := readable(it for it in runs if _fits(change, it)):
        return found
    raise no_run(session, plan, change)


def _fits(change: Change, run: StoredRun) -> bool:
    """Whether it is the run of the change; of one that cannot be read only the name is known."""
    return change.fits(run) if isinstance(run, RunView) else run.name == change.run


def _print_no_run(printer: Printer, it: NoRun) -> None:
    body: dict[str, Any] = {"namespace": it.namespace, "plan": it.plan, "run": None, "phase": str(Phase.SUCCEEDED)}
    body |= {"message": it.message, "images": {"stable": dict(it.target.images)}}
    printer.emit(
        lambda: body,
        lambda: Text.assemble(GOOD, f" {it.namespace}/{it.plan}  {it.message}"),
        [f"deployment.apps/{it.target.name}"],
    )


async def _wait(session: Session, view: RunView, reached: Reached, until: float | None) -> RunView:
    """Look each second; the run that was found first is the one that is waited for."""
    clock = session.world.clock
    while not reached(view):
        if until is not None and clock.now() >= until:
            raise TimedOut(
                f"run {view.name} is {view.state.phase} at {render.position(view)}, and the time is over",
                hint=f"rollout status {view.spec.plan} -n {view.namespace} --run {view.name} -w",
            )
        await clock.sleep(LOOK)
        view = await look(session, view)
    return view


async def look(session: Session, view: RunView) -> RunView:
    """The same run now; the old view while the API server does not answer.

    Raises:
        NotFound: it has been deleted.
        Unreadable: it cannot be read any more.
    """
    try:
        found = await session.engine.stored(view.owner)
    except Retry:
        return view
    again = readable(run for run in found if run.uid == view.uid)
    if again is None:
        raise NotFound(f"run {view.name} has been deleted", hint=f"rollout status {view.spec.plan} -n {view.namespace}")
    return again


async def _all(common: Common, *, all_namespaces: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        namespace = "" if all_namespaces else session.namespace
        plans = await session.engine.plans(namespace)
        newest: dict[Ref, StoredRun] = {}
        for view in await session.engine.stored(namespace):
            newest.setdefault(view.owner, view)
    rows = [(plan, newest.get(ref_of(plan))) for plan in plans]
    if not rows:
        where = "any namespace" if all_namespaces else f"namespace {namespace}"
        printer.say(f"no plans in {where}; next: rollout demo, or rollout start canary.yaml")
    printer.emit(
        lambda: [
            {
                "namespace": plan["metadata"].get("namespace", ""),
                "kind": plan["kind"],
                "plan": plan["metadata"]["name"],
                "run": render.as_json(view) if isinstance(view, RunView) else None,
            }
            for plan, view in rows
        ],
        lambda: render.table(rows, wide=printer.wide, namespaces=all_namespaces),
        [named(ref_of(plan)) for plan, _ in rows],
    )
    return told_of(printer, [view for _, view in rows if view is not None])
