"""Quiet hours: times of the day of a place, which may go over midnight.

A day on which clocks change is no special case: what counts is what the clock on the wall says.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

from rollout.plan.channel import QuietHours
from rollout.plan.cron import moment, zone_of

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def quiet_until(hours: QuietHours | None, now: float) -> float | None:
    """The end of the quiet hours that `now` is in; None when it is in none.

    Raises:
        InvalidInput: there is no such time zone.
    """
    if hours is None:
        return None
    zone = zone_of(hours.time_zone)
    today = datetime.fromtimestamp(now, zone).date()
    for day in (today - timedelta(days=1), today):
        if hours.days and _DAYS[day.weekday()] not in hours.days:
            continue
        start, end = (moment(day, time.fromisoformat(it), zone) for it in (hours.start, hours.end))
        if hours.end <= hours.start:
            end = moment(day + timedelta(days=1), time.fromisoformat(hours.end), zone)
        if start <= now < end:
            return end
    return None
