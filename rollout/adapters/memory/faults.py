"""A cluster that fails on purpose: every way in which a real one surprises a controller, by plan or by seed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from rollout.adapters.memory.objects import clone
from rollout.errors import Conflict, OutcomeUnknown, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref
from rollout.ports.cluster import Cluster, Guard

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here. Not an `Exception`: nothing that handles errors may survive it."""


class Fault(StrEnum):
    """What can happen to one call."""

    CRASH_BEFORE = "crash before the write"
    CRASH_AFTER = "crash after the write"
    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    LOST_BEFORE = "no answer, the write was not done"
    LOST_AFTER = "no answer, the write was done"
    DUPLICATE = "the write arrives twice"
    STALE = "a read shows the past"
    FOREIGN = "somebody else writes first"


WRITE_FAULTS: Final = tuple(fault for fault in Fault if fault is not Fault.STALE)
READ_FAULTS: Final = (Fault.STALE, Fault.UNAVAILABLE, Fault.FOREIGN, Fault.CRASH_BEFORE)
GENTLE: Final = tuple(fault for fault in Fault if fault not in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER))
"""All faults that the process survives."""


@dataclass(slots=True)
class FaultPlan:
    """Which call meets which fault.

    `at_write` and `at_read` name calls by number, counted from 1; `rate` adds seeded faults of `kinds` to the others.
    """

    at_write: Mapping[int, Fault] = field(default_factory=dict)
    at_read: Mapping[int, Fault] = field(default_factory=dict)
    rate: float = 0.0
    seed: int = 0
    kinds: Sequence[Fault] = tuple(Fault)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - simulated, reproducible luck

    def for_write(self, number: int) -> Fault | None:
        """The fault of the n-th write."""
        return self.at_write.get(number) or self._by_chance(WRITE_FAULTS)

    def for_read(self, number: int) -> Fault | None:
        """The fault of the n-th read."""
        return self.at_read.get(number) or self._by_chance(READ_FAULTS)

    def _by_chance(self, possible: Iterable[Fault]) -> Fault | None:
        if self.rate <= 0 or self._random.random() >= self.rate:
            return None
        choice = [fault for fault in possible if fault in self.kinds]
        return self._random.choice(choice) if choice else None


def crash_after_write(number: int) -> FaultPlan:
    """Die right after the n-th write, before its answer is seen."""
    return FaultPlan(at_write={number: Fault.CRASH_AFTER})


class FaultyCluster:
    """The port `Cluster` around another one. `foreign` is what somebody else does when a fault says so.

    `writes` and `reads` count calls, failed ones included; dry runs count as reads.  `met` tells which faults came up.
    """

    def __init__(self, inner: Cluster, plan: FaultPlan, foreign: Callable[[], None] = lambda: None) -> None:
        self.inner = inner
        self.plan = plan
        self.foreign = foreign
        self.writes = 0
        self.reads = 0
        self.met: list[tuple[int, Fault, str]] = []
        self._past: dict[Ref, Json | None] = {}
        self._past_lists: dict[tuple[Kind, str, tuple[tuple[str, str], ...]], list[Json]] = {}

    async def get(self, ref: Ref) -> Json | None:
        """The object; when stale, as this method saw it last."""
        fault = self._before_read(f"get {ref}")
        if fault is Fault.STALE and ref in self._past:
            past = self._past[ref]
            return None if past is None else clone(past)
        obj = await self.inner.get(ref)
        self._past[ref] = None if obj is None else clone(obj)
        return obj

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> list[Json]:
        """The objects; when stale, as this method saw them last."""
        fault = self._before_read(f"list {kind}")
        key = (kind, namespace, tuple(sorted((labels or {}).items())))
        if fault is Fault.STALE and key in self._past_lists:
            return [clone(obj) for obj in self._past_lists[key]]
        found = await self.inner.list(kind, namespace, labels, about=about)
        self._past_lists[key] = [clone(obj) for obj in found]
        return found

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.create`."""
        what = f"create {obj['kind']}/{obj['metadata'].get('name', '')}"
        return await self._write(what, lambda: self.inner.create(obj, dry_run=dry_run), dry_run=dry_run)

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.patch`."""
        return await self._write(
            f"patch {ref}", lambda: self.inner.patch(ref, ops, guard, dry_run=dry_run), dry_run=dry_run
        )

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """See `ports.cluster.Cluster.put_status`."""
        return await self._write(f"status of {ref}", lambda: self.inner.put_status(ref, status, guard))

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """See `ports.cluster.Cluster.delete`."""
        return await self._write(f"delete {ref}", lambda: self.inner.delete(ref, guard, foreground=foreground))

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Never fails."""
        return await self.inner.allowed(verb, kind, namespace)

    async def serves(self, kind: Kind) -> bool:
        """Never fails."""
        return await self.inner.serves(kind)

    async def version(self) -> str:
        """Never fails."""
        return await self.inner.version()

    def _before_read(self, what: str) -> Fault | None:
        self.reads += 1
        fault = self.plan.for_read(self.reads)
        if fault is None:
            return None
        self.met.append((self.reads, fault, what))
        if fault is Fault.CRASH_BEFORE:
            raise Crash(f"{fault} ({what})")
        if fault is Fault.UNAVAILABLE:
            raise Unavailable(f"{what}: the API server is overloaded")
        if fault is Fault.FOREIGN:
            self.foreign()
        return fault

    async def _write(self, what: str, do: Callable[[], Awaitable[T]], *, dry_run: bool = False) -> T:
        if dry_run:
            self._before_read(what)
            return await do()
        self.writes += 1
        fault = self.plan.for_write(self.writes)
        if fault is None:
            return await do()
        self.met.append((self.writes, fault, what))
        self._refuse(fault, what)
        done = await do()
        if fault is Fault.CRASH_AFTER:
            raise Crash(f"{fault} ({what})")
        if fault is Fault.LOST_AFTER:
            raise OutcomeUnknown(f"{what}: the connection broke before the answer came")
        if fault is Fault.DUPLICATE:
            # a proxy sent it again, and it is the second answer that arrives
            return await do()
        return done

    def _refuse(self, fault: Fault, what: str) -> None:
        match fault:
            case Fault.CRASH_BEFORE:
                raise Crash(f"{fault} ({what})")
            case Fault.CONFLICT:
                raise Conflict(f"{what}: somebody else wrote first")
            case Fault.UNAVAILABLE:
                raise Unavailable(f"{what}: the API server is overloaded")
            case Fault.LOST_BEFORE:
                raise OutcomeUnknown(f"{what}: the connection broke before the answer came")
            case Fault.FOREIGN:
                self.foreign()
            case Fault.STALE | Fault.CRASH_AFTER | Fault.LOST_AFTER | Fault.DUPLICATE:
                pass
