"""Times that come again, as cron writes them: minute, hour, day of the month, month, weekday.

A small calculation of our own, because the core takes the time from outside and asks no clock: APScheduler's triggers
are for what is scheduled.  A time of the day is the clock's on the wall of a time zone; one that is left out in spring
is that much later, one that comes twice in autumn counts once, when it comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rollout.errors import InvalidInput

HORIZON: Final = 5 * 366
"""So many days ahead the next time is looked for: a 29th of February may be eight years away, and is not found."""
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ANY: Final = ("*", "?")


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule of five fields."""

    times: tuple[time, ...]
    """Of a day, in order."""
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either: bool
    """Day of the month and weekday are both given: one of them is enough, as cron has it."""

    def on(self, day: date) -> bool:
        """Whether it comes on this day."""
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_day or by_weekday if self.either else by_day and by_weekday)


@lru_cache(maxsize=1024)
def cron(text: str) -> Cron:
    """The schedule that is written here.

    Raises:
        InvalidInput: it cannot be read.
    """
    fields = text.lower().split()
    if len(fields) != 5:
        raise _unreadable(text, f"it has {len(fields)} fields")
    minute, hour, day, month, weekday = fields
    try:
        minutes, hours = _field(minute, 0, 59), _field(hour, 0, 23)
        weekdays = frozenset(it % 7 for it in _field(weekday, 0, 7, _DAYS))
        return Cron(
            tuple(time(h, m) for h in sorted(hours) for m in sorted(minutes)),
            _field(day, 1, 31),
            _field(month, 1, 12, _MONTHS, first=1),
            weekdays,
            either=day not in _ANY and weekday not in _ANY,
        )
    except ValueError as error:
        raise _unreadable(text, str(error)) from None


def _unreadable(text: str, why: str) -> InvalidInput:
    hint = "write minute, hour, day of the month, month and weekday: 0 9 * * mon-fri"
    return InvalidInput(f"the schedule {text!r} cannot be read: {why}", hint=hint)


def _field(text: str, least: int, most: int, names: tuple[str, ...] = (), first: int = 0) -> frozenset[int]:
    """The values of one field: `*`, `5`, `1-5`, `*/15`, `mon-fri`, and lists of those."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        begin, dash, end = span.partition("-")
        if span in _ANY:
            low, high = least, most
        else:
            low = _value(begin, names, first)
            high = _value(end, names, first) if dash else most if slash else low
        every = int(step) if slash else 1
        if not least <= low <= high <= most or every < 1:
            raise ValueError(f"{part} is not within {least}-{most}")
        found.update(range(low, high + 1, every))
    return frozenset(found)


def _value(text: str, names: tuple[str, ...], first: int) -> int:
    if text in names:
        return names.index(text) + first
    if not text.isdecimal():
        raise ValueError(f"{text or 'nothing'} is no value")
    return int(text)


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"there is no time zone {name}", hint="name one as Europe/Paris, or UTC") from None


def moment(day: date, clock: time, zone: ZoneInfo) -> float:
    """When the clock of a place says so; a time that is left out in spring is that much later."""
    return datetime.combine(day, clock, zone).astimezone(UTC).timestamp()


def last(schedule: Cron, zone: ZoneInfo, now: float, within: float) -> float | None:
    """The latest of its times that is not after `now`; None when there is none within so many seconds."""
    today = datetime.fromtimestamp(now, zone).date()
    for back in range(int(within // 86_400) + 2):
        found = [it for it in _moments(schedule, today - timedelta(days=back), zone) if it <= now]
        if found:
            return max(found) if now - max(found) < within else None
    return None


def next_after(schedule: Cron, zone: ZoneInfo, now: float) -> float | None:
    """The first of its times after `now`; None when there is none for years."""
    today = datetime.fromtimestamp(now, zone).date()
    for ahead in range(HORIZON):
        found = [it for it in _moments(schedule, today + timedelta(days=ahead), zone) if it > now]
        if found:
            return min(found)
    return None


def _moments(schedule: Cron, day: date, zone: ZoneInfo) -> Iterator[float]:
    if schedule.on(day):
        yield from (moment(day, clock, zone) for clock in schedule.times)
