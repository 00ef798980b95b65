"""Being told when something changes, from watches: to look on while nothing happens costs no request.

What is printed is read anew when a watch tells something that concerns it, never more often than every `LOOK` seconds.
Where a watch is blind, is not allowed, or there is nobody who could tell, every `LOOK` seconds is how it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from rollout.errors import RolloutError
from rollout.ports.clock import Clock
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told, Watcher
from rollout.ports.world import World

LOOK: Final = 2.0
"""Seconds between two looks at least."""
LISTEN: Final = 0.5
"""Seconds between two glances at what was told; they cost nothing."""
Concerns = Callable[[Put | Gone], bool]
"""Whether something that came, changed or went is of interest."""


@dataclass(slots=True)
class News:
    """What the watches have told since the last look."""

    clock: Clock
    concerns: Concerns
    blind: set[Scope]
    """What nobody tells about at the moment."""
    fresh: bool = field(default=False, init=False)

    def take(self, scope: Scope, told: Told) -> None:
        """Take one message of a watch."""
        match told:
            case Listed():
                self.blind.discard(scope)
                self.fresh = True
            case Seeing():
                self.blind.discard(scope)
            case Blind():
                self.blind.add(scope)
            case Put() | Gone():
                self.fresh = self.fresh or self.concerns(told)

    async def wait(self, most: float) -> None:
        """Return when there is news, or after `most` seconds; what comes together is one look."""
        await self.clock.sleep(LOOK)
        waited = LOOK
        while not (self.fresh or self.blind) and waited < most:
            await self.clock.sleep(LISTEN)
            waited += LISTEN
        self.fresh = False


@asynccontextmanager
async def telling(world: World, scopes: Iterable[Scope], concerns: Concerns) -> AsyncIterator[News]:
    """Watch while the block lasts."""
    wanted = set(scopes)
    news = News(world.clock, concerns, set(wanted))
    watcher = world.watcher
    tasks = [asyncio.create_task(_follow(watcher, scope, news)) for scope in wanted] if watcher is not None else []
    try:
        yield news
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(watcher: Watcher, scope: Scope, news: News) -> None:
    try:
        async for told in watcher.watch(scope):
            news.take(scope, told)
    except RolloutError:
        news.blind.add(scope)
