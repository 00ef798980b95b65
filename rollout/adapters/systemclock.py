"""The real clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Wall and monotonic time, and asyncio's sleep."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251  (the one place that reads the clock)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)
