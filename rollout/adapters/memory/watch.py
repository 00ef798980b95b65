"""`MemoryWatcher`: the port `Watcher` on the in-memory cluster, in virtual time; late, blind and forgetful by plan.

Without a plan it tells everything at once, in order, once.  The same seed and the same writes give the same messages
at the same virtual moments.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Final

from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.objects import clone
from rollout.adapters.memory.store import MemoryCluster
from rollout.errors import Forbidden, RolloutError, Terminal, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref, ref_of
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What is wrong with the watches. Luck is drawn for each scope by itself."""

    late: float = 0.0
    """A change is told up to so many virtual seconds after it was written; the order stays."""
    twice: float = 0.0
    """The share of changes that are told twice."""
    breaks: float = 0.0
    """The chance per virtual second that a watch goes blind."""
    spell: float = 20.0
    """The longest time that it is blind by plan, in virtual seconds."""
    forgets: float = 0.5
    """The share of blind spells that end with a new list, because the server has forgotten what happened meanwhile."""
    seed: int = 0


PERFECT: Final = WatchPlan()


class MemoryWatcher:
    """Watches with the rights of the person whose cluster it is given. Plans with time in them need the clock."""

    def __init__(self, cluster: MemoryCluster, clock: VirtualClock | None = None, plan: WatchPlan = PERFECT) -> None:
        self.cluster = cluster
        self.plan = plan
        """May be changed at any time."""
        self._lines: list[_Line] = []
        cluster.objects.watchers.append(self._written)
        if clock is not None:
            clock.each_second(self._tick)

    async def watch(self, scope: Scope) -> AsyncGenerator[Told]:
        """See `ports.watch.Watcher.watch`."""
        line = _Line(self, scope)
        self._lines.append(line)
        try:
            line.look()
            while True:
                while line.told:
                    yield line.told.popleft()
                line.wake.clear()
                await line.wake.wait()
        finally:
            self._lines.remove(line)

    def blind(
        self, kind: Kind | None = None, error: RolloutError | None = None, *, namespace: str | None = None
    ) -> None:
        """Break the watches of a kind or a namespace, or all, until `see`; those that begin later see."""
        for line in self._of(kind, namespace):
            line.outage = error or _outage(line.scope)
            line.look()

    def see(self, kind: Kind | None = None, *, relist: bool = False, namespace: str | None = None) -> None:
        """Mend what `blind` broke; `relist` tells everything anew, broken before or not."""
        for line in self._of(kind, namespace):
            line.outage = None
            line.forgotten |= relist
            line.look()

    @property
    def open(self) -> int:
        """How many watches are open."""
        return len(self._lines)

    def _of(self, kind: Kind | None, namespace: str | None = None) -> Iterator[_Line]:
        scopes = ((line, line.scope) for line in self._lines)
        return (it for it, at in scopes if kind in (None, at.kind) and namespace in (None, at.namespace))

    def _written(self, ref: Ref) -> None:
        for line in self._lines:
            line.written(ref)
            line.look()

    def _tick(self) -> None:
        for line in self._lines:
            line.live()
            line.look()


class _Line:
    """One watch, as the server has it."""

    def __init__(self, watcher: MemoryWatcher, scope: Scope) -> None:
        self.scope = scope
        self.told: deque[Told] = deque()
        self.wake = asyncio.Event()
        self.outage: RolloutError | None = None
        self.forgotten = True
        """The next message must be a list."""
        self._watcher, self._cluster, self._objects = watcher, watcher.cluster, watcher.cluster.objects
        self._luck = random.Random(f"{watcher.plan.seed} {scope}")  # noqa: S311 - simulated, reproducible luck
        self._wanted = _terms(scope.selector)
        self._inside: dict[Ref, str] = {}
        """The UIDs of what is in the scope."""
        self._under_way: deque[tuple[float, Told]] = deque()
        self._blind = False
        self._refused_us = False
        """Whether it is blind because we may not read."""
        self._served = True
        self._sees_at = 0.0

    def written(self, ref: Ref) -> None:
        """Somebody wrote this object."""
        if self.forgotten or ref.kind != self.scope.kind or self.scope.namespace not in ("", ref.namespace):
            return
        told = self._change(ref)
        if told is None:
            return
        plan = self._watcher.plan
        due = self._objects.now() + (self._luck.uniform(0.0, plan.late) if plan.late else 0.0)
        due = max(due, self._under_way[-1][0]) if self._under_way else due
        times = 2 if plan.twice and self._luck.random() < plan.twice else 1
        self._under_way.extend([(due, told)] * times)

    def live(self) -> None:
        """Time passed: break and mend by plan."""
        plan, now = self._watcher.plan, self._objects.now()
        if not plan.breaks:
            return
        if self.outage is None and self._luck.random() < plan.breaks:
            self.outage = _outage(self.scope)
            self._sees_at = now + self._luck.uniform(0.0, plan.spell)
        elif self.outage is not None and now >= self._sees_at:
            self.outage = None
            self.forgotten |= self._luck.random() < plan.forgets

    def look(self) -> None:
        """Tell what can be told at this moment."""
        if (problem := self.outage or self._refused()) is not None:
            refused = isinstance(problem, Terminal)
            if not self._blind or refused != self._refused_us:
                self._blind, self._refused_us = True, refused
                self._tell(Blind(problem))
        elif not self._cluster.server.served(self.scope.kind):
            if self._served or self._blind:
                self._served, self._blind, self.forgotten = False, False, True
                self._tell(Listed((), served=False))
        elif self.forgotten:
            self._served, self._blind, self.forgotten = True, False, False
            self._tell(self._listed())
        else:
            if self._blind:
                self._blind = False
                self._tell(Seeing())
            while self._under_way and self._under_way[0][0] <= self._objects.now():
                self._tell(self._under_way.popleft()[1])

    def _tell(self, told: Told) -> None:
        self.told.append(told)
        self.wake.set()

    def _listed(self) -> Listed:
        found = [obj for obj in self._objects.of(self.scope.kind, self.scope.namespace) if self._fits(obj)]
        found.sort(key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
        self._inside = {ref_of(obj): obj["metadata"]["uid"] for obj in found}
        self._under_way.clear()
        return Listed(tuple(clone(obj) for obj in found), version=str(self._objects.revision))

    def _change(self, ref: Ref) -> Told | None:
        obj = self._objects.get(ref)
        if obj is not None and self._fits(obj):
            self._inside[ref] = obj["metadata"]["uid"]
            return Put(clone(obj))
        uid = self._inside.pop(ref, None)
        return None if uid is None else Gone(ref, uid, str(self._objects.revision))

    def _fits(self, obj: Json) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(key in labels and value in (None, labels[key]) for key, value in self._wanted.items())

    def _refused(self) -> Forbidden | None:
        kind, namespace = self.scope.kind, self.scope.namespace
        for verb in ("list", "watch"):
            if not self._cluster.may(verb, kind, namespace):
                return Forbidden(f'cannot {verb} resource "{kind.plural}" in API group "{kind.group}"')
        return None


def _terms(selector: str) -> dict[str, str | None]:
    """The labels that a selector asks for; None for any value."""
    terms = (term.partition("=") for term in selector.split(",") if term)
    return {key: value if equals else None for key, equals, value in terms}


def _outage(scope: Scope) -> Unavailable:
    return Unavailable(f"cannot watch {scope.kind}s: the connection broke")
