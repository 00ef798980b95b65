"""Listening to a watch in a test: what was told so far, and waiting for something to be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rollout.plan.base import Json
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told, Watcher

PATIENCE = 40.0
"""Seconds that something may take on a machine that is busy with other things."""


class Ear:
    """Remembers everything that a watch tells."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._news = asyncio.Condition()

    async def listen(self, watcher: Watcher, scope: Scope) -> None:
        async for told in watcher.watch(scope):
            async with self._news:
                self.told.append(told)
                self._news.notify_all()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until this is so."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(happened)

    async def hears(self, *kinds: type[Told]) -> None:
        """Wait until messages of exactly these types have been told."""
        await self.until(lambda: len(self.told) >= len(kinds))
        assert [type(told) for told in self.told] == list(kinds), self.told

    async def has(self, name: str) -> Json:
        """Wait until an object of this name is known; return it."""
        await self.until(lambda: name in self.objects)
        return self.objects[name]

    async def lacks(self, name: str) -> None:
        """Wait until the object of this name is not known any more."""
        await self.until(lambda: name not in self.objects)

    @property
    def objects(self) -> dict[str, Json]:
        """What one who believes the messages knows, by name."""
        known: dict[str, Json] = {}
        for told in self.told:
            match told:
                case Listed(objects):
                    known = {obj["metadata"]["name"]: obj for obj in objects}
                case Put(obj):
                    known[obj["metadata"]["name"]] = obj
                case Gone(ref):
                    known.pop(ref.name, None)
                case Blind() | Seeing():
                    pass
        return known


@asynccontextmanager
async def listening(watcher: Watcher, scope: Scope) -> AsyncIterator[Ear]:
    """Somebody listens in the background until the block is left."""
    ear = Ear()
    task = asyncio.create_task(ear.listen(watcher, scope))
    try:
        yield ear
        assert not task.done(), "a watch never ends by itself"
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
