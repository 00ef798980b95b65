"""Schedules as Kubernetes reads them: weekdays from Sunday, either kind of day is enough, the longest pause."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from rollout.adapters.schedule import Timetables, timetable
from rollout.ports.clock import Timetable

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
"""A Tuesday, at noon."""
HOUR, DAY = 3600.0, 86_400.0


@pytest.mark.parametrize(
    ("schedule", "following", "days"),
    [
        ("0 6 * * 1-5", "2026-11-25 06:00", 3),
        ("0 0 * * 0", "2026-11-29 00:00", 7),
        ("0 0 * * 7", "2026-11-29 00:00", 7),
        ("0 0 * * SUN", "2026-11-29 00:00", 7),
        ("0 0 * * 5-7", "2026-11-27 00:00", 5),
        ("0 0 * * 1/2", "2026-11-25 00:00", 3),
        ("@monthly", "2026-12-01 00:00", 31),
        ("@yearly", "2027-01-01 00:00", 366),
        ("0 0 29 2 *", "2028-02-29 00:00", 5 * 366),
        ("0 0 1 * ?", "2026-12-01 00:00", 31),
        # either is enough where both are given
        ("0 0 1 * 0", "2026-11-29 00:00", 7),
        ("*/5 * * * *", "2026-11-24 12:00", 5 / 1440),
        ("@hourly", "2026-11-24 12:00", 1 / 24),
        # within working hours, and over the weekend
        ("0 9-17 * * mon-fri", "2026-11-24 12:00", 2 + 16 / 24),
    ],
)
def test_next_run_and_longest_pause(schedule: str, following: str, days: float) -> None:
    found = timetable(schedule, "", NOW)
    assert found is not None
    assert found.next is not None
    assert f"{datetime.fromtimestamp(found.next, UTC):%Y-%m-%d %H:%M}" == following
    assert math.isclose(found.longest, days * DAY)


def test_the_time_zone_of_the_job_counts() -> None:
    found = timetable("0 6 * * *", "Asia/Tokyo", NOW)
    assert found is not None
    assert found.next == datetime(2026, 11, 24, 21, 0, tzinfo=UTC).timestamp()


def test_an_interval_has_a_pause_and_no_known_next_run() -> None:
    found = timetable("@every 1h30m", "", NOW)
    assert found is not None
    assert (found.next, found.longest) == (None, 1.5 * HOUR)


def test_a_day_that_never_comes() -> None:
    found = timetable("0 0 31 2 *", "", NOW)
    assert found is not None
    assert found.next is None
    assert found.longest > 4 * 366 * DAY


@pytest.mark.parametrize(
    ("schedule", "zone"),
    [
        ("", ""),
        ("bad", ""),
        ("60 * * * *", ""),
        ("* * * * * *", ""),
        ("0 0 * * 6-2", ""),
        ("0 0 * * x", ""),
        ("@every x", ""),
        ("@daily", "No/Where"),
    ],
)
def test_what_is_no_schedule_is_none(schedule: str, zone: str) -> None:
    assert timetable(schedule, zone, NOW) is None


def test_a_schedule_is_read_again_when_its_run_has_begun_or_the_clock_was_set_back() -> None:
    asked = list[float]()

    def read(schedule: str, zone: str, now: float) -> Timetable | None:
        asked.append(now)
        return timetable(schedule, zone, now)

    known = Timetables(read)
    moments = [1.0, 30.0, 59.0, 60.0, 61.0, 20.0]
    for now in moments:
        assert known("* * * * *", "", now) == timetable("* * * * *", "", now)
    assert asked == [1.0, 60.0, 61.0, 20.0]  # at 60 s the next run is that very moment


def test_what_is_no_schedule_is_remembered_too() -> None:
    asked = list[float]()

    def read(_schedule: str, _zone: str, now: float) -> Timetable | None:
        asked.append(now)
        return None

    known = Timetables(read)
    assert [known("at noon", "", now) for now in (0.0, 1.0, 90_000.0)] == [None, None, None]
    assert asked == [0.0, 90_000.0]
