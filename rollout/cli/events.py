"""events: what happened to a plan and its runs, oldest first; with -w also what happens now."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence

import orjson
import yaml

from rollout.cli.follow import interruptible
from rollout.cli.news import LOOK, telling
from rollout.cli.options import Common, Format
from rollout.cli.out import Printer
from rollout.cli.render import events as render
from rollout.cli.render.events import Line
from rollout.cli.render.words import lines
from rollout.cli.session import Session, connected
from rollout.cli.source import from_cluster
from rollout.cli.unread import told_of
from rollout.controller.view import RunView, StoredRun
from rollout.errors import Forbidden, Retry
from rollout.plan.base import Json
from rollout.plan.kinds import EVENT, MESH_ADOPTION_PLAN, PLAN_RUN, Ref, plan_of
from rollout.ports.watch import Put, Scope


def events(common: Common, plan: str, *, watch: bool) -> int:
    """Print, or print until interrupted."""
    return asyncio.run(_events(common, plan, watch=watch))


async def _events(common: Common, plan: str, *, watch: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        given = await from_cluster(session.world.cluster, session.namespace, plan)
        runs = await session.engine.stored(given.ref)
        found = await _read(session, printer, given.ref, runs)
        if watch:
            told_of(printer, runs)
            return await interruptible(_watch(session, printer, common.output, given.ref, found))
    if not found:
        printer.say(f"nothing is on record about plan {plan}; next: rollout start {plan} -n {session.namespace}")
    printer.emit(lambda: [render.as_json(line) for line in found], lambda: lines(render.table(found)))
    return told_of(printer, runs)


async def _watch(session: Session, printer: Printer, output: Format, plan: Ref, found: list[Line]) -> int:
    """What is there, then what is new, until somebody stops it."""
    told: set[tuple[str, str, str, int]] = set()
    first, pause = True, math.inf
    scopes = [Scope(kind, session.namespace) for kind in (EVENT, PLAN_RUN)]
    async with telling(session.world, scopes, lambda it: isinstance(it, Put) and _tells(it.obj, plan)) as news:
        while True:
            fresh = [line for line in found if line.key not in told]
            _print(printer, output, fresh, first=first)
            first = False
            told |= {line.key for line in fresh}
            await news.wait(pause)
            try:
                found = await _read(session, printer, plan, await session.engine.stored(plan))
                pause = math.inf
            except Retry:
                pause = LOOK  # the API server does not answer; the next look will do


def _tells(obj: Json, plan: Ref) -> bool:
    """Whether a run or an Event that came or changed may have something to tell of the plan."""
    return _concerns(obj, plan, set()) if obj["kind"] == EVENT.name else plan_of(obj) == plan


def _print(printer: Printer, output: Format, fresh: list[Line], *, first: bool) -> None:
    if output not in (Format.JSON, Format.YAML):
        for text in render.table(fresh, head=first):
            printer.result(text)
        return
    for line in fresh:
        body = render.as_json(line)
        as_yaml = "---\n" + yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
        printer.stdout.file.write(as_yaml if output is Format.YAML else orjson.dumps(body).decode() + "\n")
    printer.stdout.file.flush()


async def _read(session: Session, printer: Printer, plan: Ref, runs: Sequence[StoredRun]) -> list[Line]:
    names = {view.name for view in runs}
    try:
        found = await session.world.cluster.list(EVENT, session.namespace)
    except Forbidden as error:
        printer.say(f"only what the runs remember: {error}")
        found = []
    about = [render.of_event(event) for event in found if _concerns(event, plan, names)]
    notes = [line for view in runs if isinstance(view, RunView) for line in render.of_run(view)]
    return render.merged(notes, about)


def _concerns(event: Json, plan: Ref, runs: set[str]) -> bool:
    """Whether an Event is about the plan or one of its runs; a run that was discarded is known by its name."""
    about = event.get("regarding") or {}
    name = str(about.get("name", ""))
    if about.get("kind") == plan.kind.name:
        return name == plan.name
    return about.get("kind") == PLAN_RUN.name and (name in runs or bool(_run_of(plan).fullmatch(name)))


def _run_of(plan: Ref) -> re.Pattern[str]:
    """Names of its runs: an adoption's have the plan's generation, `g3`, where a canary's have the version."""
    version = r"g[0-9]+" if plan.kind == MESH_ADOPTION_PLAN else r"[0-9a-z]{1,5}"
    return re.compile(re.escape(plan.name[:46].rstrip("-.")) + f"-{version}-[0-9]+")
