"""The clock: the only source of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a CronJob runs."""

    next: float | None
    """Seconds since the epoch; None when it will not run, or when its schedule does not say."""
    longest: float
    """Seconds between two runs, at most; 0 for one that is suspended."""


Schedules = Callable[[str, str, float], Timetable | None]
"""Reads a schedule: the text, the time zone (empty for the cluster's own), now. None for a text that it cannot read."""


def unscheduled(_schedule: str, _zone: str, _now: float) -> Timetable | None:
    """Reads no schedule: for worlds in which nobody asks."""
    return None
