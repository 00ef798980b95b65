"""Virtual time: sleeping moves the world on, second by second, and waits for nobody."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from rollout.adapters.memory.objects import EPOCH


class VirtualClock:
    """The port `Clock`. `pace` above 0 shows a film of it: so many virtual seconds in a real one."""

    def __init__(self, start: float = EPOCH, pace: float = 0.0) -> None:
        self.pace = pace
        self._now = start
        self._ticks: list[Callable[[], None]] = []

    def now(self) -> float:
        """See `ports.clock.Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """See `ports.clock.Clock.monotonic`."""
        return self._now

    def each_second(self, tick: Callable[[], None]) -> None:
        """Call `tick` at every whole virtual second, and at the end of every sleep."""
        self._ticks.append(tick)

    async def sleep(self, seconds: float) -> None:
        """See `ports.clock.Clock.sleep`. Nobody really waits, unless there is a pace."""
        end = self._now + max(0.0, seconds)
        while self._now < end:
            before = self._now
            self.advance(min(end, math.floor(before) + 1.0) - before)
            # others may run: a viewer, a signal handler
            await asyncio.sleep((self._now - before) / self.pace if self.pace > 0 else 0)

    def run(self, seconds: float) -> None:
        """Pass time without an event loop."""
        end = self._now + seconds
        while self._now < end:
            self.advance(min(end, math.floor(self._now) + 1.0) - self._now)

    def advance(self, seconds: float) -> None:
        """One step of at most a second."""
        self._now += seconds
        for tick in self._ticks:
            tick()
