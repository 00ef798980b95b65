"""`MemoryWatcher`: the port `Watcher` on the in-memory API server.  Every write is told to every watch, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rollout.adapters.memory.objects import clone
from rollout.adapters.memory.store import MemoryCluster
from rollout.errors import Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import Ref, ref_of
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told


@dataclass
class MemoryWatcher:
    """Watches one cluster.

    A test may let it be behind: what happens while it is `late` is told when it is not any more, and while it is
    `blind` it has to list again.
    """

    cluster: MemoryCluster
    _open: list[_Watch] = field(default_factory=list)
    _late: bool = False

    async def watch(self, scope: Scope) -> AsyncIterator[Told]:
        """See `ports.watch.Watcher.watch`."""
        watch = _Watch(self.cluster, scope, late=self._late)
        self.cluster.objects.watchers.append(watch.written)
        self._open.append(watch)
        try:
            yield watch.listed()
            while True:
                yield await watch.told.get()
        finally:
            self._open.remove(watch)
            self.cluster.objects.watchers.remove(watch.written)

    @contextmanager
    def late(self) -> Iterator[None]:
        """Tell nothing until the block ends; then all of it."""
        self._late = True
        for watch in self._open:
            watch.late = True
        yield
        self._late = False
        for watch in self._open:
            watch.catch_up()

    @contextmanager
    def blind(self) -> Iterator[None]:
        """Miss everything until the block ends; then begin anew with a list."""
        for watch in self._open:
            watch.told.put_nowait(Blind(Unavailable("the watch broke")))
            watch.missing = True
        yield
        for watch in self._open:
            watch.missing = False
            watch.told.put_nowait(watch.listed())

    def stutter(self) -> None:
        """Tell everything that there is once more, as a proxy that repeats itself."""
        for watch in self._open:
            watch.told.put_nowait(Seeing())
            for obj in watch.listed().objects:
                watch.told.put_nowait(Put(obj))


class _Watch:
    """One open watch."""

    def __init__(self, cluster: MemoryCluster, scope: Scope, *, late: bool) -> None:
        self._cluster = cluster
        self._scope = scope
        self._known: dict[Ref, str] = {}
        self._kept: list[Told] = []
        self.told: asyncio.Queue[Told] = asyncio.Queue()
        self.late = late
        self.missing = False

    def listed(self) -> Listed:
        """Everything that there is."""
        served = self._cluster.server.served(self._scope.kind)
        found = self._cluster.objects.of(self._scope.kind, self._scope.namespace) if served else []
        objects = tuple(clone(obj) for obj in found if self._fits(obj))
        self._known = {ref_of(obj): obj["metadata"]["uid"] for obj in objects}
        return Listed(objects, served, str(self._cluster.objects.revision))

    def written(self, ref: Ref) -> None:
        """Somebody wrote this."""
        if ref.kind != self._scope.kind or self._scope.namespace not in ("", ref.namespace) or self.missing:
            return
        obj = self._cluster.objects.get(ref)
        uid = self._known.get(ref)
        if uid is not None and (obj is None or obj["metadata"]["uid"] != uid or not self._fits(obj)):
            del self._known[ref]
            self._say(Gone(ref, uid))
        if obj is not None and self._fits(obj):
            self._known[ref] = obj["metadata"]["uid"]
            self._say(Put(clone(obj)))

    def catch_up(self) -> None:
        """Tell what was kept back."""
        self.late = False
        for told in self._kept:
            self.told.put_nowait(told)
        self._kept = []

    def _say(self, told: Told) -> None:
        if self.late:
            self._kept.append(told)
        else:
            self.told.put_nowait(told)

    def _fits(self, obj: Json) -> bool:
        labels = obj["metadata"].get("labels") or {}
        pairs = [part.partition("=") for part in self._scope.selector.split(",") if part]
        return all(key in labels and (not equals or labels[key] == value) for key, equals, value in pairs)
