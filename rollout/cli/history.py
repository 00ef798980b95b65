"""history: the runs of a plan that are on record, the newest last."""

from __future__ import annotations

import asyncio

from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import history as render
from rollout.cli.render import run as render_run
from rollout.cli.session import Session, connected
from rollout.cli.source import from_cluster
from rollout.cli.unread import told_of
from rollout.errors import Forbidden
from rollout.observe.observer import read_target
from rollout.plan.objects import CanaryPlan


def history(common: Common, plan: str) -> int:
    """Print them."""
    return asyncio.run(_history(common, plan))


async def _history(common: Common, plan: str) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        given = await from_cluster(session.world.cluster, session.namespace, plan)
        runs = list(reversed(await session.engine.stored(given.ref)))
        target = given.plan.spec.target if isinstance(given.plan, CanaryPlan) else None
        revisions = await _revisions(session, target.name if target else "")
    if not runs:
        printer.say(f"plan {plan} has no run yet; next: rollout start {plan} -n {session.namespace}")
    printer.emit(
        lambda: [render.as_json(view, revisions) for view in runs],
        lambda: render.table(runs, revisions, wide=printer.wide),
        [render_run.name(view) for view in runs],
    )
    return told_of(printer, runs)


async def _revisions(session: Session, target: str) -> render.Revisions:
    """The numbers that `undo --to-revision` takes; none where the target may not be read."""
    try:
        _, _, work = await read_target(session.world, session.namespace, target)
    except Forbidden:
        return {}
    return {rs.digest: rs.revision for rs in reversed(work.replica_sets)} if work else {}
