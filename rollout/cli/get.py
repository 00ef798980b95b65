"""get: the plans, as their statuses have them; with -w a line for each change."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import orjson
import yaml

from rollout.cli.exit import UsageError
from rollout.cli.follow import interruptible
from rollout.cli.naming import missing
from rollout.cli.naming import named as named_plan
from rollout.cli.naming import stored as stored_plan
from rollout.cli.news import LOOK, News, telling
from rollout.cli.options import Common, Format
from rollout.cli.out import Printer
from rollout.cli.render import plans as render
from rollout.cli.render.plans import Row
from rollout.cli.render.words import lines, named
from rollout.cli.session import Session, connected
from rollout.cli.unread import told_of
from rollout.controller import leader
from rollout.controller.lease import alive
from rollout.controller.view import RunView, StoredRun, UnreadRun
from rollout.errors import Retry
from rollout.plan.base import Json
from rollout.plan.kinds import LEASE, PLAN_RUN, PLANS, Ref, ref_of
from rollout.plan.run import Phase
from rollout.ports.watch import Gone, Put, Scope

UNDER_WAY: Final = 10.0
"""Seconds between two looks with -w while a run is under way: that nobody drives it any more is told by no watch."""

_UNDER_WAY: Final = frozenset(phase for phase in Phase if not phase.ended and phase is not Phase.HELD)
"""A run in one of these needs somebody who drives it."""


def get(common: Common, plan: str | None, *, all_namespaces: bool, watch: bool) -> int:
    """Print, or print until interrupted."""
    if plan and all_namespaces:
        raise UsageError("-A is for all plans", hint="leave PLAN out, or give its namespace with -n")
    return asyncio.run(_get(common, plan, all_namespaces=all_namespaces, watch=watch))


async def _get(common: Common, plan: str | None, *, all_namespaces: bool, watch: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        namespace = "" if all_namespaces else session.namespace
        look = _Look(session, namespace, plan, runs=common.output not in (Format.TABLE, Format.NAME))
        if watch:
            return await interruptible(_watch(look, printer, common.output, namespaces=all_namespaces))
        rows = await look.rows()
    if not rows:
        where = "any namespace" if all_namespaces else f"namespace {namespace}"
        printer.say(f"no plans in {where}; next: rollout demo, or rollout start canary.yaml")
    printer.emit(
        lambda: render.as_json(rows[0]) if plan else [render.as_json(row) for row in rows],
        lambda: lines(render.table(rows, wide=printer.wide, namespaces=all_namespaces)) if rows else "",
        [_name(row) for row in rows],
    )
    for remark in render.remarks(rows):
        printer.say(f"  {remark}")
    return told_of(printer, look.unread)


def _name(row: Row) -> str:
    return named(ref_of(row.plan))


class _Look:
    """Reads the plans that were asked for: one list, one for their runs where these are shown, and who drives."""

    def __init__(self, session: Session, namespace: str, plan: str | None, *, runs: bool) -> None:
        self._session, self._namespace, self._plan, self._runs = session, namespace, plan, runs
        self.unread: list[UnreadRun] = []
        """The newest runs of these plans that could not be read."""

    async def rows(self) -> list[Row]:
        """The plans now.

        Raises:
            NotFound: the one that was named does not exist.
        """
        plans = await self._plans()
        newest: dict[Ref, StoredRun] = {}
        if self._runs:
            of = self._namespace if self._plan is None else ref_of(plans[0])
            for stored in await self._session.engine.stored(of):
                newest.setdefault(stored.owner, stored)
        controller = await leader.find(self._session.world, self._session.home)
        rows = []
        for plan in plans:
            meta, now = plan["metadata"], self._session.world.clock.now()
            served = controller is not None and controller.serves(meta["namespace"])
            latest = newest.get(ref_of(plan))
            view = latest if isinstance(latest, RunView) else None
            rows.append(Row(plan, now, view, await self._driven(plan, served=served), served))
        self.unread = [stored for stored in newest.values() if isinstance(stored, UnreadRun)]
        return rows

    def telling(self) -> AbstractAsyncContextManager[News]:
        """Being told when these rows may look otherwise."""
        kinds = (*PLANS, PLAN_RUN) if self._runs else PLANS
        return telling(self._session.world, [Scope(kind, self._namespace) for kind in kinds], self._concerns)

    def _concerns(self, told: Put | Gone) -> bool:
        if self._plan is None or isinstance(told, Gone):
            return True
        meta, spec = told.obj["metadata"], told.obj["spec"]
        return named_plan(self._plan)[1] in (meta["name"], spec.get("plan"))

    async def _plans(self) -> list[Json]:
        if self._plan is None:
            return await self._session.engine.plans(self._namespace)
        found = await stored_plan(self._session.world.cluster, self._namespace, self._plan)
        if found is None:
            raise missing(self._namespace, self._plan)
        return [found]

    async def _driven(self, plan: Json, *, served: bool) -> bool | None:
        """Whether somebody drives the run under way; a run that has ended or is held needs nobody."""
        status = plan.get("status") or {}
        phase, run = status.get("phase"), status.get("run")
        if not run or phase not in _UNDER_WAY:
            return None
        if served:
            return True
        world = self._session.world
        lease = await world.cluster.get(Ref(LEASE, plan["metadata"]["namespace"], run))
        return lease is not None and alive(lease, world.clock.now())


async def _watch(look: _Look, printer: Printer, output: Format, *, namespaces: bool) -> int:
    """All plans once, then a line for each that changed, until somebody stops it."""
    known: dict[Ref, tuple[str, ...]] = {}
    unread: set[str] = set()
    async with look.telling() as news:
        while True:
            try:
                rows = await look.rows()
            except Retry:
                await news.wait(LOOK)  # the API server does not answer; the next look will do
                continue
            changed = [row for row in rows if known.get(row.ref) != render.facts(row)]
            gone = known.keys() - {row.ref for row in rows}
            _print(printer, output, rows, changed, first=not known, namespaces=namespaces)
            for plan in sorted(gone):
                printer.say(f"plan {plan.namespace}/{plan.name} was deleted")
            told_of(printer, (run for run in look.unread if run.uid not in unread))
            known, unread = {row.ref: render.facts(row) for row in rows}, {run.uid for run in look.unread}
            await news.wait(UNDER_WAY if any(row.driven is not None for row in rows) else math.inf)


def _print(
    printer: Printer, output: Format, rows: Sequence[Row], changed: Sequence[Row], *, first: bool, namespaces: bool
) -> None:
    match output:
        case Format.JSON:
            for row in changed:
                _write(printer, orjson.dumps(render.as_json(row)).decode() + "\n")
        case Format.YAML:
            for row in changed:
                body: Any = render.as_json(row)
                _write(printer, "---\n" + yaml.safe_dump(body, sort_keys=False, allow_unicode=True))
        case Format.NAME:
            for row in changed:
                printer.result(_name(row))
        case Format.TABLE | Format.WIDE | Format.SHORT:
            # all rows are laid out, so that a line stands below the one that it follows
            head, *lines_ = render.table(rows, wide=printer.wide, namespaces=namespaces)
            for line in [head] if first and rows else []:
                printer.result(line)
            for row, line in zip(rows, lines_, strict=True):
                if row in changed:
                    printer.result(line)
    for remark in render.remarks(changed):
        printer.say(f"  {remark}")


def _write(printer: Printer, text: str) -> None:
    printer.stdout.file.write(text)
    printer.stdout.file.flush()
