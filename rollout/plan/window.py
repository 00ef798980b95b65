"""Change windows: when a plan may start and go on.  Pure: the time comes from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from rollout.plan.base import Duration, Model, seconds
from rollout.plan.cron import cron, last, next_after, zone_of

LONGEST: Final = 31 * 86_400.0
"""Seconds that a window may be long: so far back its beginning is looked for."""
_CHANGES: Final = 400
"""So many openings and closings are looked at for a moment that all windows agree on."""


class Window(Model):
    """A time that comes again."""

    start: Annotated[str, Field(min_length=9, max_length=128)]
    """When it begins, as cron writes it: minute, hour, day of the month, month, weekday. `0 9 * * mon-fri`."""
    duration: Duration
    """How long it lasts, at most 31 days. Hours that really pass: over a night on which clocks change, too."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """Whose clock `start` is read by: `Europe/Paris`."""

    def end(self, now: float) -> float | None:
        """The end of the window that `now` is in; None when it is in none.

        Raises:
            InvalidInput: its start or its time zone cannot be read.
        """
        length = min(seconds(self.duration), LONGEST)
        began = last(cron(self.start), zone_of(self.time_zone), now, length)
        return None if began is None else began + length

    def next(self, now: float) -> float | None:
        """When it begins next; None when it does not for years.

        Raises:
            InvalidInput: its start or its time zone cannot be read.
        """
        return next_after(cron(self.start), zone_of(self.time_zone), now)


Some = Annotated[tuple[Window, ...], Field(max_length=16)]


class Windows(Model):
    """When a run may start and go on. Outside it stays where it is, is watched, and goes home when a gate fails."""

    allow: Some = ()
    """Only in these; at any time when there are none."""
    deny: Some = ()
    """Never in these, whatever is allowed."""

    def opens(self, now: float) -> float | None:
        """When they let a run go on: `now` where they do, None where they do not for years.

        Raises:
            InvalidInput: a start or a time zone cannot be read.
        """
        at = now
        for _ in range(_CHANGES):
            closed = [end for it in self.deny if (end := it.end(at)) is not None]
            if closed:
                at = max(closed)
            elif not self.allow or any(it.end(at) is not None for it in self.allow):
                return at
            else:
                begins = [it for window in self.allow if (it := window.next(at)) is not None]
                if not begins:
                    return None
                at = min(begins)
        return None

    @property
    def zone(self) -> str:
        """Whose clock people are told times by: the first window's."""
        return next((it.time_zone for it in (*self.allow, *self.deny)), "UTC")


ALWAYS: Final = Windows()
"""No windows: at any time."""


def spelled(at: float, zone: str) -> str:
    """A moment by the clock of a place: `Mon 2026-03-30 09:00 Europe/Paris`."""
    return f"{datetime.fromtimestamp(at, zone_of(zone)):%a %Y-%m-%d %H:%M} {zone}"
