"""A cluster whose objects must not be touched: what comes from a cache is everybody's.

It hands out the same object for the same version each time, as the stores of a controller do, and looks at every call
whether one that it has handed out is still what it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

import orjson

from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref, ref_of
from rollout.ports.cluster import Cluster, Guard

T = TypeVar("T")


class Touched(AssertionError):
    """An object that was read has been changed in place."""


class FrozenCluster:
    """The port `Cluster` around another one.

    Raises:
        Touched: from any call after somebody changed what an earlier one returned.
    """

    def __init__(self, inner: Cluster) -> None:
        self.inner = inner
        self._out: dict[tuple[Ref, str, str], tuple[Json, int]] = {}

    def check(self) -> None:
        """Look at everything that was handed out."""
        for (ref, _, version), (obj, digest) in self._out.items():
            if _digest(obj) != digest:
                raise Touched(f"{ref} was changed in place after it had been read at version {version}")

    def _same(self, obj: Json) -> Json:
        meta = obj["metadata"]
        key = (ref_of(obj), str(meta.get("uid", "")), str(meta.get("resourceVersion", "")))
        if key not in self._out:
            self._out[key] = (obj, _digest(obj))
        return self._out[key][0]

    async def get(self, ref: Ref) -> Json | None:
        """See `ports.cluster.Cluster.get`."""
        self.check()
        found = await self.inner.get(ref)
        return None if found is None else self._same(found)

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> list[Json]:
        """See `ports.cluster.Cluster.list`."""
        self.check()
        return [self._same(obj) for obj in await self.inner.list(kind, namespace, labels, about=about)]

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.create`."""
        return await self._write(lambda: self.inner.create(obj, dry_run=dry_run), stored=not dry_run)

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.patch`."""
        return await self._write(lambda: self.inner.patch(ref, ops, guard, dry_run=dry_run), stored=not dry_run)

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """See `ports.cluster.Cluster.put_status`."""
        return await self._write(lambda: self.inner.put_status(ref, status, guard))

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """See `ports.cluster.Cluster.delete`."""
        self.check()
        await self.inner.delete(ref, guard, foreground=foreground)

    async def _write(self, do: Callable[[], Awaitable[Json]], *, stored: bool = True) -> Json:
        self.check()
        made = await do()
        return self._same(made) if stored else made

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """See `ports.cluster.Cluster.allowed`."""
        return await self.inner.allowed(verb, kind, namespace)

    async def serves(self, kind: Kind) -> bool:
        """See `ports.cluster.Cluster.serves`."""
        return await self.inner.serves(kind)

    async def version(self) -> str:
        """See `ports.cluster.Cluster.version`."""
        return await self.inner.version()


def _digest(obj: Json) -> int:
    return hash(orjson.dumps(obj, default=bytes.hex))  # the steps of a run that is kept are bytes
