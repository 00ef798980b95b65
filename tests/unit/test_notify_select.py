"""Which events a channel tells, and when: severity, repetitions, quiet hours, what comes too late."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import InvalidInput
from rollout.notify.happenings import Happening, happenings
from rollout.notify.quiet import quiet_until
from rollout.notify.select import covers, following
from rollout.plan.channel import ChannelSpec, QuietHours
from rollout.plan.kinds import PLAN_RUN, Ref

NOW = 1_780_000_000.0
PARIS = ZoneInfo("Europe/Paris")


def spec(**fields: object) -> ChannelSpec:
    return ChannelSpec.model_validate({"type": "webhook", "address": "https://x.example"} | fields)


def event(seq: int, reason: str, at: float = NOW, *, text: str = "", warning: bool = False) -> Happening:
    return Happening(seq, at, reason, text or reason, warning)


def told(channel: ChannelSpec, events: list[Happening], now: float = NOW) -> list[int]:
    """The numbers of what is told at once, one after the other."""
    done, numbers = 0, []
    while (next_ := following(channel, events, done, now)).happening is not None and next_.at <= now:
        done = next_.happening.seq
        numbers.append(done)
    return numbers


def moment(text: str, zone: ZoneInfo = PARIS) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


STORY = [
    event(1, "Started"),
    event(2, "WeightSet"),
    event(3, "ApprovalNeeded"),
    event(4, "GateFailed", warning=True),
]


@pytest.mark.parametrize(
    ("severity", "numbers"), [("detail", [1, 2, 3, 4]), ("info", [1, 3, 4]), ("action", [3, 4]), ("warning", [4])]
)
def test_the_mildest_severity_that_is_told(severity: str, numbers: list[int]) -> None:
    assert told(spec(events={"severity": severity}), STORY) == numbers


def test_only_some_reasons() -> None:
    assert told(spec(events={"reasons": ["GateFailed"]}), STORY) == [4]


def test_what_goes_to_and_fro_is_told_now_and_then() -> None:
    flapping = [
        event(n, ("NoData", "Cleared")[n % 2], NOW + 60 * n, text=f"{n}", warning=n % 2 == 0) for n in range(1, 31)
    ]
    numbers = told(spec(), flapping, NOW + 1800)
    assert numbers == [1, 2, 11, 12, 21, 22], "each once in ten minutes"


def test_orders_and_steps_are_no_repetitions() -> None:
    events = [event(1, "Paused"), event(2, "Resumed"), event(3, "Paused", text="again"), event(4, "Resumed", text="b")]
    assert told(spec(), events) == [1, 2, 3, 4]


def test_what_comes_too_late_is_left_out_and_counted() -> None:
    events = [event(1, "Started", NOW - 4000), event(2, "Promoted", NOW - 10)]
    next_ = following(spec(), events, 0, NOW)
    assert (next_.happening, next_.too_late, next_.left_out) == (events[1], 1, 1)
    assert following(spec(), events[:1], 0, NOW).done == 1


HOURS = {"start": "22:00", "end": "07:00", "timeZone": "Europe/Paris"}


def test_in_quiet_hours_events_wait_for_their_end() -> None:
    night = moment("2026-06-10 23:30")
    events = [event(1, "Started", night), event(2, "Promoted", night + 60)]
    channel = spec(quietHours=HOURS)
    next_ = following(channel, events, 0, night + 120)
    assert (next_.happening, next_.at) == (events[0], moment("2026-06-11 07:00"))
    assert told(channel, events, next_.at) == [1, 2], "they come in the morning, late as they are"


def test_what_is_urgent_passes_and_what_waited_before_it_is_left_out() -> None:
    night = moment("2026-06-10 23:30")
    events = [event(1, "Started", night), event(2, "GateFailed", night + 60, warning=True)]
    next_ = following(spec(quietHours=HOURS), events, 0, night + 61)
    assert (next_.happening, next_.at, next_.left_out) == (events[1], night + 61, 1)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-06-10 21:59", None),
        ("2026-06-10 22:00", "2026-06-11 07:00"),
        ("2026-06-11 06:59", "2026-06-11 07:00"),
        ("2026-06-11 07:00", None),
        ("2026-03-28 23:00", "2026-03-29 07:00"),  # the clocks go forward in this night
        ("2026-10-24 23:00", "2026-10-25 07:00"),  # and back in this one
    ],
)
def test_quiet_hours_go_by_the_clock_on_the_wall(now: str, end: str | None) -> None:
    hours = QuietHours(start="22:00", end="07:00", time_zone="Europe/Paris")
    assert quiet_until(hours, moment(now)) == (None if end is None else moment(end))


def test_a_night_is_an_hour_shorter_or_longer_when_clocks_change() -> None:
    hours = QuietHours(start="22:00", end="07:00", time_zone="Europe/Paris")
    lengths = []
    for evening in ("2026-03-28 22:00", "2026-06-10 22:00", "2026-10-24 22:00"):
        end = quiet_until(hours, moment(evening))
        assert end is not None
        lengths.append((end - moment(evening)) / 3600)
    assert lengths == [8, 9, 10]


def test_the_same_moment_is_quiet_in_one_place_and_not_in_another() -> None:
    now = moment("2026-06-10 23:00")
    assert quiet_until(QuietHours(start="22:00", end="07:00", time_zone="Europe/Paris"), now) is not None
    assert quiet_until(QuietHours(start="22:00", end="07:00", time_zone="America/New_York"), now) is None


def test_quiet_hours_of_some_days() -> None:
    weekend = QuietHours(start="18:00", end="08:00", time_zone="Europe/Paris", days=("Fri",))
    assert quiet_until(weekend, moment("2026-06-12 20:00")) == moment("2026-06-13 08:00")
    assert quiet_until(weekend, moment("2026-06-13 20:00")) is None


def test_an_unknown_time_zone_is_an_error_of_ours() -> None:
    with pytest.raises(InvalidInput, match="no time zone Mars"):
        quiet_until(QuietHours(start="22:00", end="07:00", time_zone="Mars"), NOW)


@pytest.mark.parametrize(
    ("own", "namespaces", "run", "wanted"),
    [
        ("shop", (), "shop", True),
        ("shop", (), "bank", False),
        ("shop", ("*",), "bank", False),  # only the controller's namespace tells of others
        ("rollout-system", ("*",), "bank", True),
        ("rollout-system", ("ba*",), "bank", True),
        ("rollout-system", ("shop",), "bank", False),
        ("rollout-system", (), "bank", False),
    ],
)
def test_of_which_namespaces_a_channel_tells(own: str, namespaces: tuple[str, ...], run: str, *, wanted: bool) -> None:
    channel = spec(events={"namespaces": namespaces})
    assert covers(channel, own, "rollout-system", Ref(PLAN_RUN, run, "web-1"), "web") is wanted


def test_of_which_plans() -> None:
    channel = spec(events={"plans": ["web", "api-*"]})
    found = [covers(channel, "shop", "", Ref(PLAN_RUN, "shop", "x"), plan) for plan in ("web", "api-1", "webs")]
    assert found == [True, True, False]


@given(st.integers(0, 200), st.integers(1, 60))
def test_events_keep_their_numbers_when_the_oldest_are_forgotten(forgotten: int, kept: int) -> None:
    notes = [{"at": NOW + n, "reason": "Cleared", "message": str(n)} for n in range(kept)]
    run = {"status": {"state": {"notes": notes, "forgotten": forgotten}}}
    assert [it.seq for it in happenings(run)] == list(range(forgotten + 1, forgotten + kept + 1))
