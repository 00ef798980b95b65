"""uninstall: end all runs, give up all holds, then take out the controller; with --crds the kinds, and so the plans.

In this order nothing is left hanging: a run is ended while somebody can drive it, a Deployment is let go while the
policy still knows a release, and the policy that pauses new versions never outlives who could release them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from rollout.cli.exit import Code, UsageError
from rollout.cli.install import split
from rollout.cli.options import Common, duration
from rollout.cli.out import Printer, confirmed
from rollout.cli.render.run import position
from rollout.cli.render.words import GOOD, columns
from rollout.cli.session import Session, connected
from rollout.controller.leader import SERVES
from rollout.install.leaving import Leaving
from rollout.install.options import CONTROLLER
from rollout.install.remove import controller, home, kinds, remove, rights, shared
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, PLAN_RUN, Ref

_PATIENCE: Final = 900.0
"""Seconds that the runs get to go home."""


def uninstall(
    common: Common,
    *,
    controller_namespace: str,
    namespaces: str | None,
    crds: bool,
    timeout: str | None,
    yes: bool,
) -> int:
    """Take everything out, in the order in which nothing is left hanging."""
    limit = duration(timeout)
    work = _uninstall(
        common,
        controller_namespace,
        split(namespaces),
        crds=crds,
        limit=_PATIENCE if limit is None else limit,
        yes=yes,
    )
    return asyncio.run(work)


async def _uninstall(
    common: Common, where: str, namespaces: tuple[str, ...], *, crds: bool, limit: float, yes: bool
) -> int:
    printer = Printer(common)
    done: list[str] = []

    def tell(text: str) -> None:
        done.append(text)
        printer.say(columns([(GOOD, text)], gap=" ")[0])

    async with connected(common) as session:
        served = namespaces or await _served(session, where)
        leaving = Leaving(session.engine, where, served, tell)
        await _ask(session, printer, leaving, served, crds=crds, yes=yes)
        known = await session.world.cluster.serves(PLAN_RUN)
        if known:
            await leaving.end_runs(limit)
        for find in (controller, rights):
            await _remove(session, await find(session.world.cluster, where), tell)
        if known:
            # what the controller began after we looked
            await leaving.end_runs(limit)
            await leaving.settle()
        await leaving.give_up_holds()
        await _remove(session, await shared(session.world.cluster, where), tell)
        if crds:
            await _remove(session, await kinds(session.world.cluster), tell)
        await _leave_home(session, printer, where, tell)
    printer.emit(lambda: {"done": done}, lambda: "uninstalled" if done else "nothing was installed", done)
    if done and not crds:
        printer.say("  plans and their history stay; to drive them from a terminal: rollout crds apply --with-hold")
    return Code.GOOD


async def _served(session: Session, where: str) -> tuple[str, ...]:
    """The namespaces that the installed controller looks after; empty means all."""
    deployment = await session.world.cluster.get(Ref(DEPLOYMENT, where, CONTROLLER))
    notes = (deployment or {}).get("metadata", {}).get("annotations") or {}
    served = notes.get(SERVES, "*")
    return () if served == "*" else split(served)


async def _ask(
    session: Session, printer: Printer, leaving: Leaving, served: tuple[str, ...], *, crds: bool, yes: bool
) -> None:
    """Say what will be done, and ask.

    Raises:
        UsageError: nobody agreed.
    """
    cluster = session.world.cluster
    views = await leaving.active() if await cluster.serves(PLAN_RUN) else []
    printer.say(f"this ends all runs in {', '.join(served) or 'all namespaces'} ({len(views)} under way),")
    for view in views:
        printer.say(f"  {view.namespace}/{view.name} is {view.state.phase} at {position(view)}")
    printer.say(
        "takes all holds off (what is paused stays paused), then removes the controller, its rights and policies"
    )
    if crds and await cluster.serves(CANARY_PLAN):
        plans = await cluster.list(CANARY_PLAN)
        runs = await cluster.list(PLAN_RUN)
        printer.warn(f"--crds removes the kinds: {len(plans)} plans and {len(runs)} runs of all users go with them")
    if not confirmed(printer, "uninstall?", yes=yes):
        raise UsageError("not confirmed, nothing was done", hint="answer y, or give --yes")


async def _remove(session: Session, objects: Iterable[Json], tell: Callable[[str], None]) -> None:
    async for ref in remove(session.world, objects):
        tell(f"{ref} removed")


async def _leave_home(session: Session, printer: Printer, where: str, tell: Callable[[str], None]) -> None:
    """The controller's namespace goes if installing made it and nobody else moved in."""
    found, stays = await home(session.world.cluster, where)
    if found is not None and stays:
        printer.say(f"  Namespace/{where} stays: {stays}")
    elif found is not None:
        await _remove(session, [found], tell)
