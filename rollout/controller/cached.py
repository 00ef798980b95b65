"""The cluster as the controller has it: reads come from the watches, writes are fenced by the leader's lease.

It is a `Cluster` like any other, so the engine is the same in the foreground and here.  The answer to a write goes
into the store at once: the next turn sees what the last one did, although the watch may lag behind.  After a conflict
the object is read anew, for the watch may be broken: the answer to a write of our own may have been lost with it.
"""

from __future__ import annotations

import asyncio
import builtins
import math
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from rollout.controller.stores import Stores
from rollout.errors import Conflict, Forbidden, RolloutError, Unsupported
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, Kind, Ref, ref_of
from rollout.ports.clock import Clock
from rollout.ports.cluster import Cluster, Guard

BELIEVED: Final = 300.0
"""Seconds that an answer about our own rights is believed."""
MISSING: Final = 10.0
"""Seconds that a ConfigMap is believed to be missing: somebody may be about to bring it back."""
SETTLED: Final = 60.0
"""Seconds that a ConfigMap is believed to be as it was found: all plans ask for the same ones, at each turn."""


class CachedCluster:
    """The port `Cluster`: watched kinds from memory, everything else from `inner`.

    `fence` is called right before each write, and raises when we may not write any more.
    """

    def __init__(self, inner: Cluster, stores: Stores, clock: Clock, fence: Callable[[], None]) -> None:
        self.inner = inner
        self.stores = stores
        self._clock = clock
        self._fence = fence
        self._found: dict[Ref, tuple[float, Json | None]] = {}
        self._asked: dict[Ref, asyncio.Future[Json | None]] = {}
        self._rights: dict[tuple[str, Kind, str], tuple[float, asyncio.Future[bool]]] = {}
        self._lists: dict[Hashable, asyncio.Future[builtins.list[Json]]] = {}

    async def get(self, ref: Ref) -> Json | None:
        """See `ports.cluster.Cluster.get`. What comes from memory must not be changed."""
        store = self.stores.of(ref.kind, ref.namespace)
        if store is not None:
            return store.get(ref)
        return await (self._settings(ref) if ref.kind == CONFIGMAP else self.inner.get(ref))

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> builtins.list[Json]:
        """See `ports.cluster.Cluster.list`. What comes from memory must not be changed."""
        store = self.stores.of(kind, namespace, labels)
        if store is None:
            if not kind.namespaced and (why := self.stores.refusal(kind)):
                raise Forbidden(why)  # the watch asks again by itself; every turn of every run need not
            return await self._list_once(kind, namespace, labels or {}, about)
        if not self.stores.served(kind):
            raise Unsupported(f"the API server does not serve {kind.plural}.{kind.group}", hint=f"install {kind}")
        return store.list(namespace, labels, about)

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.create`."""
        self._fence()
        made = await self.inner.create(obj, dry_run=dry_run)
        return made if dry_run else self._learned(made)

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.patch`."""
        self._fence()
        async with self._anew(ref):
            made = await self.inner.patch(ref, ops, guard, dry_run=dry_run)
        return made if dry_run else self._learned(made)

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """See `ports.cluster.Cluster.put_status`."""
        self._fence()
        async with self._anew(ref):
            return self._learned(await self.inner.put_status(ref, status, guard))

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """See `ports.cluster.Cluster.delete`."""
        self._fence()
        async with self._anew(ref):
            await self.inner.delete(ref, guard, foreground=foreground)

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """See `ports.cluster.Cluster.allowed`. Asked once in five minutes."""
        key, now = (verb, kind, namespace), self._clock.monotonic()
        at, answer = self._rights.get(key, (-math.inf, None))
        if answer is None or now - at >= BELIEVED:
            answer = asyncio.ensure_future(self.inner.allowed(verb, kind, namespace))
            self._rights[key] = (now, answer)  # at once: hundreds of plans that start together ask the same
        try:
            return await asyncio.shield(answer)
        except RolloutError:
            self._rights.pop(key, None)
            raise

    async def serves(self, kind: Kind) -> bool:
        """See `ports.cluster.Cluster.serves`."""
        if self.stores.of(kind, "") is not None:
            return self.stores.served(kind)
        return await self.inner.serves(kind)

    async def version(self) -> str:
        """See `ports.cluster.Cluster.version`."""
        return await self.inner.version()

    async def _settings(self, ref: Ref) -> Json | None:
        """A ConfigMap. What is missing is asked for only now and then, and by many turns of one moment together."""
        until, found = self._found.get(ref, (-math.inf, None))
        if self._clock.monotonic() < until:
            return found
        answer = self._asked.get(ref)
        if answer is None:
            answer = self._asked[ref] = asyncio.ensure_future(self._ask_settings(ref))
            answer.add_done_callback(lambda _: self._asked.pop(ref))
        return await asyncio.shield(answer)

    async def _ask_settings(self, ref: Ref) -> Json | None:
        """The ConfigMap as it is now. What may not be read is not asked for at every turn."""
        self._found.pop(ref, None)
        if not await self.allowed("get", ref.kind, ref.namespace):
            raise Forbidden(
                f'cannot get resource "{ref.kind.plural}" in API group "" in the namespace "{ref.namespace}"',
                hint=f"ask for the right to get {ref.kind.plural}",
            )
        found = await self.inner.get(ref)
        self._found[ref] = self._clock.monotonic() + (MISSING if found is None else SETTLED), found
        return found

    async def _list_once(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], about: Collection[str]
    ) -> builtins.list[Json]:
        """Ask what is not watched; plans of a namespace that begin together ask for the same, and get one answer."""
        key = (kind, namespace, *sorted(labels.items()), *sorted(about))
        answer = self._lists.get(key)
        if answer is None:
            answer = asyncio.ensure_future(self.inner.list(kind, namespace, labels, about=about))
            self._lists[key] = answer
            answer.add_done_callback(lambda _: self._lists.pop(key))
        return await asyncio.shield(answer)

    @asynccontextmanager
    async def _anew(self, ref: Ref) -> AsyncIterator[None]:
        """Around a write: what stood in its way is known to the next turn."""
        try:
            yield
        except Conflict:
            if self.stores.of(ref.kind, ref.namespace) is not None:
                with suppress(RolloutError):
                    found = await self.inner.get(ref)
                    if found is not None:
                        self._learned(found)
            raise

    def _learned(self, obj: Json) -> Json:
        """The answer to a write as it is kept: whoever holds on to it holds nothing twice."""
        ref = ref_of(obj)
        self.stores.learned(obj, ref.kind)
        store = self.stores.of(ref.kind, ref.namespace, obj["metadata"].get("labels") or {})
        known = store.get(ref) if store else None
        same = known is not None and known["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]
        return known if known is not None and same else obj
