"""The controller as a process: watches, elections, the tick and the endpoints, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from rollout.controller.leader import FENCE
from rollout.controller.loop import Controller
from rollout.controller.server import serving
from rollout.errors import RolloutError
from rollout.plan.base import RUN_LABEL
from rollout.plan.kinds import (
    CHANGE_FREEZE,
    DEPLOYMENT,
    LEASE,
    METRIC_TEMPLATE,
    MUTATING_BINDING,
    NOTIFICATION_CHANNEL,
    PLAN_DECISION,
    PLAN_RUN,
    PLANS,
    POD,
    REPLICASET,
    Kind,
)
from rollout.plan.program import Backends, Side
from rollout.ports.router import Concerns, Router
from rollout.ports.watch import Scope

TICK: Final = 0.25
"""Seconds between two looks at the due-heap."""
OURS: Final = (*PLANS, PLAN_RUN, PLAN_DECISION, METRIC_TEMPLATE, DEPLOYMENT, REPLICASET)
LABELLED: Final = (POD, LEASE)
"""Kinds of which only what carries a run's label is watched."""
log = logging.getLogger(__name__)


def scopes(routers: Mapping[str, Router], namespaces: Iterable[str], channels: str | None = None) -> Iterator[Scope]:
    """What is watched: in these namespaces, or in all when there are none; of channels those beside the controller,
    too: `channels` is its namespace, None where nobody is told.

    Not what only an adoption reads: to know all pods whole, for the few weeks in which one is under way, costs more
    than to list those of its namespace at each of its turns.
    """
    namespaces = tuple(namespaces) or ("",)
    if channels is not None:
        for namespace in namespaces if "" in namespaces else dict.fromkeys((*namespaces, channels)):
            yield Scope(NOTIFICATION_CHANNEL, namespace)
    for namespace in namespaces:
        for kind in (*OURS, *sorted(_read_by(routers))):
            yield Scope(kind, namespace)
        for kind in LABELLED:
            yield Scope(kind, namespace, RUN_LABEL)
    yield Scope(MUTATING_BINDING)
    yield Scope(CHANGE_FREEZE)


def concerns(routers: Mapping[str, Router]) -> dict[Kind, Concerns]:
    """By which Services objects are found, over all routers."""
    return {kind: find for router in routers.values() for kind, find in router.concerns.items()}


def _read_by(routers: Mapping[str, Router]) -> set[Kind]:
    nothing = Backends("", "", "", Side(""), Side(""))
    reads = (read for router in routers.values() for read in router.reads(nothing) if not read.name)
    return {kind for read in reads for kind in read.kinds}


async def run(controller: Controller, stop: asyncio.Event, *, port: int, said: Callable[[str], None]) -> None:
    """Run until `stop` is set; then end in order. Weights stay where they are."""
    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.add_job(_tick, "interval", [controller], seconds=TICK, misfire_grace_time=None, coalesce=True)
    async with serving(controller, port) as chosen:
        said(f"health, readiness and metrics on port {chosen}")
        tasks = [asyncio.create_task(controller.follow(scope)) for scope in controller.stores.scopes]
        campaign = asyncio.create_task(_campaign(controller))
        scheduler.start()
        try:
            await _until(stop, [*tasks, campaign])
        finally:
            scheduler.shutdown(wait=False)
            with suppress(TimeoutError):
                async with asyncio.timeout(FENCE):
                    await controller.settled()
            await _cancelled([campaign])
            with suppress(TimeoutError):
                async with asyncio.timeout(FENCE):
                    await controller.stop()
            await _cancelled(tasks)


async def _until(stop: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for the order to stop; a task that ends before is a fault, and is raised."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    await _cancelled([waiting])
    for task in done - {waiting}:
        task.result()


async def _cancelled(tasks: Iterable[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


async def _tick(controller: Controller) -> None:
    controller.tick()


async def _campaign(controller: Controller) -> None:
    """Try to lead, and to go on leading; an API server that hangs must not keep us from trying again."""
    while True:
        pause = 1.0
        try:
            async with asyncio.timeout(FENCE / 2):
                pause = await controller.campaign()
        except TimeoutError:
            log.warning("the leader's lease could not be renewed in time")
        except RolloutError as error:
            log.error("the leader's lease is refused", extra={"error": str(error), "hint": error.hint})
            pause = FENCE
        await controller.clock.sleep(pause)
