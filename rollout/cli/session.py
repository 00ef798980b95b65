"""The cluster for one call of the command: world, namespace and engine."""

from __future__ import annotations

import getpass
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout.cli.naming import missing, resolve
from rollout.cli.options import Common
from rollout.cli.source import Given, from_cluster, from_file, is_file, templates_in
from rollout.controller import leader
from rollout.controller.view import RunView, StoredRun, UnreadRun
from rollout.errors import NotFound
from rollout.plan.kinds import Ref
from rollout.ports.world import World

if TYPE_CHECKING:
    from rollout.controller.foreground import Foreground


@dataclass(frozen=True, slots=True)
class Session:
    """Who is spoken to, and in which namespace."""

    world: World
    namespace: str
    engine: Foreground
    home: str = leader.HOME
    """The namespace of the controller."""

    async def controller(self, namespace: str) -> leader.Controller | None:
        """The controller that looks after a namespace, if one is alive and we may look."""
        found = await leader.find(self.world, self.home)
        return found if found is not None and found.serves(namespace) else None

    async def driven(self, view: RunView) -> bool:
        """Whether somebody drives the run: an engine in a terminal, or the controller."""
        return await self.engine.engine_alive(view) or await self.controller(view.namespace) is not None

    async def given(self, source: str, explicit: str | None) -> Given:
        """The plan behind FILE|PLAN, with the templates of its file and of its namespace."""
        if not is_file(source):
            return await from_cluster(self.world.cluster, self.namespace, source)
        return await self.completed(from_file(source, explicit, self.namespace))

    async def completed(self, given: Given) -> Given:
        """The plan of a file, with the templates of its namespace."""
        live = await templates_in(self.world.cluster, given.plan.metadata.namespace)
        return replace(given, templates={**live, **given.templates})

    async def plan(self, name: str) -> Ref:
        """The plan of this name, which may say its kind; a deleted one as long as it has runs.

        Raises:
            NotFound: there is none.
            UsageError: there are two, of two kinds.
        """
        found = await resolve(self.world.cluster, self.namespace, name)
        if found is None:
            raise missing(self.namespace, name)
        return found

    async def run(self, plan: str, run_id: str | None = None) -> RunView:
        """The newest run of a plan, or the one with this name; `plan` may be a run's name itself.

        Raises:
            NotFound: no such plan or no such run.
            UsageError: there are two plans of this name.
            Unreadable: it cannot be read.
        """
        of = await resolve(self.world.cluster, self.namespace, plan)
        if of is None and run_id is None:
            view = await self.engine.run(self.namespace, plan)
        elif run_id is None and of is not None:
            view = await self.engine.newest(of)
        else:
            view = readable(v for v in await self.engine.stored(of or self.namespace) if v.name == run_id)
        if view is None:
            if of is None:
                raise missing(self.namespace, plan)
            lacks = f"no run {run_id}" if run_id else "no run yet"
            raise NotFound(f"plan {of.name} has {lacks}", hint=f"rollout start {plan} -n {self.namespace}")
        return view


def readable(runs: Iterable[StoredRun]) -> RunView | None:
    """The first of these runs, if there is one.

    Raises:
        Unreadable: it cannot be read.
    """
    first = next(iter(runs), None)
    if isinstance(first, UnreadRun):
        raise first.error
    return first


@asynccontextmanager
async def connected(common: Common) -> AsyncIterator[Session]:
    """A session with the cluster of the kubeconfig."""
    # client and engine cost most of a second, which who needs no cluster need not pay
    from rollout import bootstrap
    from rollout.controller.foreground import Foreground

    async with bootstrap.connect(
        kubeconfig=common.kubeconfig,
        context=common.context,
        namespace=common.namespace,
        prometheus=common.prometheus,
    ) as (world, namespace):
        yield Session(world, namespace, Foreground(world), common.controller_namespace)


def somebody() -> str:
    """Who gives the orders, as the record says it: `ana@laptop`."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()
