"""The clock: the only source of time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for leases, and sleeping."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never set back, and goes on while the process is stopped."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...
