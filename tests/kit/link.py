"""The way of one controller process to the API server: it can be cut, it remembers every write, and it can freeze.

Frozen is what SIGSTOP does: the process stands still in the middle of a write, nothing of it goes on, and time does.
"""

from __future__ import annotations

import asyncio
import builtins
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

from rollout.adapters.memory.watch import MemoryWatcher
from rollout.controller.leader import NAME as LEADER
from rollout.errors import RolloutError, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import EVENT, Kind, Ref, ref_of
from rollout.ports.clock import Clock
from rollout.ports.cluster import Cluster, Guard
from rollout.ports.watch import Scope, Told

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Write:
    """One write that was sent."""

    at: float
    verb: str
    ref: Ref
    failed: str = ""
    """The error's name; empty when it was done."""
    changed: bool = True
    """Whether anything is different now; the deletion of what is gone changes nothing."""

    def __str__(self) -> str:
        return f"{self.verb} {self.ref}" + (f" ({self.failed})" if self.failed else "")


@dataclass
class Link:
    """The port `Cluster` as one process has it. Elections and Events are passed on, and not counted."""

    inner: Cluster
    clock: Clock
    revision: Callable[[], int]
    """The newest resourceVersion."""
    cut: bool = False
    """The API server refuses everything."""
    heard: Callable[[float, float], object] = lambda _date, _took: None
    """Told what time it is there, with each answer."""
    freeze_before: int = 0
    freeze_after: int = 0
    """The number of the write at which the process stands still; counted from 1."""
    before: dict[int, Callable[[], object]] = field(default_factory=dict)
    """What somebody else does right before a write, by its number."""
    writes: int = 0
    sent: list[Write] = field(default_factory=list)
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.running.set()

    async def get(self, ref: Ref) -> Json | None:
        """See `ports.cluster.Cluster.get`."""
        self._answer(f"get {ref}")
        return await self.inner.get(ref)

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> builtins.list[Json]:
        """See `ports.cluster.Cluster.list`."""
        self._answer(f"list {kind}")
        return await self.inner.list(kind, namespace, labels, about=about)

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.create`."""
        return await self._write("create", ref_of(obj), lambda: self.inner.create(obj, dry_run=dry_run), dry=dry_run)

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.patch`."""
        return await self._write("patch", ref, lambda: self.inner.patch(ref, ops, guard, dry_run=dry_run), dry=dry_run)

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """See `ports.cluster.Cluster.put_status`."""
        return await self._write("status of", ref, lambda: self.inner.put_status(ref, status, guard))

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """See `ports.cluster.Cluster.delete`."""
        return await self._write("delete", ref, lambda: self.inner.delete(ref, guard, foreground=foreground))

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """See `ports.cluster.Cluster.allowed`."""
        self._answer("a review of our rights")
        return await self.inner.allowed(verb, kind, namespace)

    async def serves(self, kind: Kind) -> bool:
        """See `ports.cluster.Cluster.serves`."""
        self._answer("discovery")
        return await self.inner.serves(kind)

    async def version(self) -> str:
        """See `ports.cluster.Cluster.version`."""
        self._answer("version")
        return await self.inner.version()

    def freeze(self) -> None:
        """SIGSTOP, between two writes."""
        self.running.clear()
        self.frozen.set()

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen.clear()
        self.running.set()

    def _answer(self, what: str) -> None:
        if self.cut:
            raise Unavailable(f"{what}: connection refused")
        self.heard(math.floor(self.clock.now()), 0.0)

    async def _write(self, verb: str, ref: Ref, do: Callable[[], Awaitable[T]], *, dry: bool = False) -> T:
        if dry or ref.name == LEADER or ref.kind == EVENT:
            self._answer(f"{verb} {ref}")
            return await do()
        self.writes += 1
        number = self.writes
        if number in self.before:
            self.before[number]()
        if number == self.freeze_before:
            self.freeze()
            await self.running.wait()
        before = self.revision()
        try:
            self._answer(f"{verb} {ref}")
            done = await do()
        except RolloutError as error:
            self.sent.append(Write(self.clock.now(), verb, ref, type(error).__name__, changed=False))
            raise
        self.sent.append(Write(self.clock.now(), verb, ref, changed=self.revision() != before))
        if number == self.freeze_after:
            self.freeze()
            await self.running.wait()
        return done


@dataclass
class Ear:
    """The port `Watcher` of a process that may be frozen: what is told meanwhile waits in its socket."""

    watcher: MemoryWatcher
    running: asyncio.Event

    async def watch(self, scope: Scope) -> AsyncGenerator[Told]:
        """See `ports.watch.Watcher.watch`."""
        async with aclosing(self.watcher.watch(scope)) as telling:
            async for told in telling:
                await self.running.wait()
                yield told
