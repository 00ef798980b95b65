"""The schedules of CronJobs, read with APScheduler's `CronTrigger`.

Kubernetes counts weekdays from Sunday, APScheduler from Monday: weekdays are handed over by name.  Where both the day
of the month and the weekday are given, either is enough; APScheduler wants both, so there two triggers are joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from rollout.errors import InvalidInput
from rollout.plan.base import seconds
from rollout.ports.clock import Schedules, Timetable

_NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every "
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ANY: Final = ("*", "?", "*/1")
HORIZON: Final = timedelta(days=5 * 366)
"""So far ahead the longest pause is looked for; it stands for pauses that are longer still."""
_RUN_DAYS: Final = 400
_DAY: Final = 86_400.0
_KNOWN: Final = 4096
"""So many schedules are remembered."""


def timetable(schedule: str, zone: str, now: float) -> Timetable | None:
    """The next run and the longest time between two; None for a schedule that cannot be read.

    >>> timetable("0 6 * * 1-5", "", 0.0)  # weekdays: the longest pause is the weekend; 1970 began on a Thursday
    Timetable(next=21600.0, longest=259200.0)
    """
    try:
        if schedule.startswith(_EVERY):
            pause = seconds(schedule.removeprefix(_EVERY))
            return Timetable(None, pause) if pause else None
        trigger = _trigger(_NAMED.get(schedule.strip().lower(), schedule), ZoneInfo(zone) if zone else UTC)
    except (ValueError, IndexError, ZoneInfoNotFoundError, InvalidInput):
        return None
    start = datetime.fromtimestamp(now, ZoneInfo(zone) if zone else UTC)
    days = [run.timestamp() for run in _first_of_days(trigger, start)]
    if not days:
        return Timetable(None, HORIZON.total_seconds())
    runs = [run.timestamp() for run in _of_one_day(trigger, start)]
    within = [later - earlier for earlier, later in pairwise(runs)]
    busy = runs[-1] - runs[0]
    # of the first day a part may be over
    between = [later - earlier - busy for earlier, later in pairwise(days[1:])]
    return Timetable(days[0], max([*within, *between], default=HORIZON.total_seconds()))


class Timetables:
    """`timetable` with a memory: a schedule takes milliseconds to read, and is asked for at every look.

    What was found is true until the run that comes next.
    """

    def __init__(self, read: Schedules = timetable) -> None:
        self._read = read
        self._known: dict[tuple[str, str], tuple[float, float, Timetable | None]] = {}

    def __call__(self, schedule: str, zone: str, now: float) -> Timetable | None:
        """See `ports.clock.Schedules`."""
        since, until, found = self._known.get((schedule, zone), (now, now, None))
        if since <= now < until:
            return found
        found = self._read(schedule, zone, now)
        until = now + _DAY if found is None or found.next is None else found.next
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[schedule, zone] = now, until, found
        return found


def _trigger(schedule: str, zone: tzinfo) -> BaseTrigger:
    """One that fires as Kubernetes does.

    Raises:
        ValueError: no schedule.
    """
    minute, hour, day, month, weekday = schedule.split()
    common = {"minute": minute, "hour": hour, "month": month.lower(), "timezone": zone}
    by_day = {"day": "*" if day in _ANY else day}
    by_weekday = {"day_of_week": "*" if weekday in _ANY else ",".join(_weekdays(weekday.lower()))}
    if day in _ANY or weekday in _ANY:
        return CronTrigger(**common, **by_day, **by_weekday)
    return OrTrigger([CronTrigger(**common, **by_day), CronTrigger(**common, **by_weekday)])


def _weekdays(field: str) -> Iterator[str]:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low, high = (0, 6) if first in _ANY else (_weekday(first), _weekday(last or ("sat" if step else first)))
        if high < low:
            raise ValueError(f"{part} ends before it begins")
        yield from (_DAYS[number % 7] for number in range(low, high + 1, int(step or 1)))


def _weekday(text: str) -> int:
    return _DAYS.index(text) if text in _DAYS else int(text)


def _first_of_days(trigger: BaseTrigger, start: datetime) -> Iterator[datetime]:
    """The first run of each day that has any."""
    found = trigger.get_next_fire_time(None, start)
    for _ in range(_RUN_DAYS):
        if found is None or found - start > HORIZON:
            return
        yield found
        found = trigger.get_next_fire_time(None, _midnight_after(found))


def _of_one_day(trigger: BaseTrigger, start: datetime) -> Iterator[datetime]:
    """All runs of the first whole day that has any: hours and minutes do not depend on the day."""
    found = trigger.get_next_fire_time(None, _midnight_after(start))
    end = _midnight_after(found) if found else start
    while found is not None and found < end:
        yield found
        found = trigger.get_next_fire_time(found, found + timedelta(seconds=1))


def _midnight_after(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
