"""The clock: the only source of time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time for records, and sleeping."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...
