"""Change windows: when they open, across changes of clocks and in several time zones; and what a run does outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from rollout.decide.engine import decide
from rollout.decide.keeping import Standstill, unready
from rollout.decide.reason import Reason
from rollout.decide.seen import Timing
from rollout.decide.turn import Decision, hold_spent, spent
from rollout.errors import InvalidInput
from rollout.observe.timing import timing_of
from rollout.plan.cron import cron
from rollout.plan.objects import CanaryPlan
from rollout.plan.parse import from_object
from rollout.plan.run import Phase, State
from rollout.plan.window import Window, Windows
from tests.kit.builders import RELEASE, RUN, counts, holding, seen, steered
from tests.kit.orders import give

EXAMPLES = Path(__file__).parents[2] / "examples"


def at(text: str, zone: str = "UTC") -> float:
    """A moment by the clock of a place."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def window(start: str, duration: str, zone: str = "UTC") -> Window:
    return Window(start=start, duration=duration, time_zone=zone)


OFFICE = Windows(allow=(window("0 9 * * mon-fri", "8h", "Europe/Berlin"),))
"""Weekdays from 9 to 17 in Berlin."""


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-27T09:00", "2026-03-27T09:00"),
        ("2026-03-27T16:59", "2026-03-27T16:59"),
        ("2026-03-27T17:00", "2026-03-30T09:00"),  # over the weekend on which clocks change
        ("2026-03-30T08:59", "2026-03-30T09:00"),
        ("2026-10-23T17:00", "2026-10-26T09:00"),  # and change back
    ],
)
def test_office_hours_follow_the_clock_on_the_wall_over_its_changes(now: str, opens: str) -> None:
    assert OFFICE.opens(at(now, "Europe/Berlin")) == at(opens, "Europe/Berlin")


def test_the_clock_change_moves_the_window_by_an_hour_of_utc() -> None:
    assert OFFICE.opens(at("2026-03-27T17:00")) == at("2026-03-30T07:00")  # it was at 8:00 UTC on Friday
    assert OFFICE.opens(at("2026-03-26T23:00")) == at("2026-03-27T08:00")


def test_two_time_zones_are_each_read_by_their_own_clock() -> None:
    both = Windows(
        allow=(window("0 9 * * *", "2h", "America/New_York"), window("0 9 * * *", "2h", "Asia/Tokyo")),
    )
    # New York changes its clocks on March 8, Tokyo never does
    assert both.opens(at("2026-03-07T02:00")) == at("2026-03-07T14:00")
    assert both.opens(at("2026-03-07T16:00")) == at("2026-03-08T00:00")
    assert both.opens(at("2026-03-08T02:00")) == at("2026-03-08T13:00")


def test_a_window_over_the_night_of_the_change_lasts_as_long_as_it_says() -> None:
    night = window("0 22 * * *", "8h", "Europe/Berlin")
    assert night.end(at("2026-03-29T01:00", "Europe/Berlin")) == at("2026-03-29T07:00", "Europe/Berlin")
    assert night.end(at("2026-10-25T01:00", "Europe/Berlin")) == at("2026-10-25T05:00", "Europe/Berlin")


def test_a_start_that_is_left_out_in_spring_comes_later_and_one_that_comes_twice_counts_once() -> None:
    early = window("30 2 * * *", "1h", "Europe/Berlin")
    assert early.next(at("2026-03-29T00:00", "Europe/Berlin")) == at("2026-03-29T03:30", "Europe/Berlin")
    first = early.next(at("2026-10-25T00:00", "Europe/Berlin"))
    assert first == at("2026-10-25T00:30")  # 2:30 in summer time
    assert early.next(first) == at("2026-10-26T02:30", "Europe/Berlin")


def test_what_is_denied_is_denied_in_what_is_allowed() -> None:
    windows = Windows(allow=OFFICE.allow, deny=(window("0 12 * * fri", "3d", "Europe/Berlin"),))
    assert windows.opens(at("2026-03-27T11:59", "Europe/Berlin")) == at("2026-03-27T11:59", "Europe/Berlin")
    assert windows.opens(at("2026-03-27T12:00", "Europe/Berlin")) == at("2026-03-30T13:00", "Europe/Berlin")
    assert Windows().opens(5.0) == 5.0
    assert Windows(deny=(window("0 0 * * *", "1d"),)).opens(0.0) is None


@pytest.mark.parametrize(
    ("text", "day", "comes"),
    [
        ("0 9 13 * fri", "2026-03-13", True),
        ("0 9 13 * fri", "2026-03-20", True),  # either is enough, as cron has it
        ("0 9 13 * fri", "2026-04-13", True),
        ("0 9 13 * fri", "2026-04-14", False),
        ("0 9 * jan-mar 7", "2026-03-29", True),
        ("0 9 * 4-6 sun", "2026-03-29", False),
        ("0 9 */10 * *", "2026-03-21", True),
        ("0 9 1,15 * *", "2026-03-15", True),
    ],
)
def test_a_schedule_is_read_as_cron_reads_it(text: str, day: str, comes: bool) -> None:
    assert cron(text).on(datetime.fromisoformat(day).date()) is comes


@pytest.mark.parametrize(
    "text", ["", "0 9 * *", "60 9 * * *", "0 9 * * xyz", "0 17-9 * * *", "0 9 * * */0", "0 -9 * * *"]
)
def test_a_schedule_that_cannot_be_read_says_why(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        cron(text)


SHUT = Timing(Windows(allow=(window("0 9 * * *", "1h"),)))
"""Open from 9 to 10: moments near 0 are outside."""


def outside(state: State, *, now: float = 116.0, timing: Timing = SHUT, **world: object) -> Decision:
    return decide(RUN, state, replace(steered(state.weight), timing=timing, **world), now)  # type: ignore[arg-type]  # fields by name


def test_outside_of_its_windows_a_run_stays_where_it_is_and_says_until_when() -> None:
    turn = outside(holding(), now=500.0)  # its hold of 10 s was over at 120
    assert (turn.actions, turn.state.phase, turn.state.weight) == ((), Phase.HOLDING, 10.0)
    assert turn.state.reason == Reason.OUTSIDE_WINDOW
    assert turn.state.message == "outside of its windows until Thu 1970-01-01 09:00 UTC"
    assert len(outside(turn.state, now=501.0).state.notes) == len(turn.state.notes)


def test_no_time_of_the_step_passes_outside_of_the_windows() -> None:
    state = outside(holding()).state
    assert (spent(state, 9000.0), hold_spent(state, 9000.0)) == (16.0, 6.0)
    opened = decide(RUN, state, replace(steered(10.0), timing=SHUT), at("1970-01-01T09:00")).state
    assert (opened.phase, opened.standing) == (Phase.PROGRESSING, None)
    assert (spent(opened, 32400.0), hold_spent(opened, 32400.0)) == (16.0, 6.0)


def test_a_gate_that_fails_outside_of_the_windows_takes_the_run_home() -> None:
    state = holding()
    for look, now in enumerate((116.0, 122.0, 128.0), 1):
        state = outside(state, now=now, samples={"success": counts(100.0 * look, 90.0 * look)}).state
    assert (state.phase, state.reason, state.standing) == (Phase.ROLLING_BACK, Reason.GATE_FAILED, None)


def test_a_run_that_has_not_begun_waits_for_its_window_without_looking() -> None:
    turn = decide(RUN, State(), replace(seen(), timing=SHUT), 100.0)
    assert (turn.state.reason, turn.wake) == (Reason.OUTSIDE_WINDOW, 32300.0)
    assert turn.state.floor == 0
    begun = decide(RUN, turn.state, replace(seen(), timing=SHUT), 32400.0).state
    assert begun.floor == 3


def test_what_is_committed_or_ordered_in_full_goes_on_outside_of_the_windows() -> None:
    committed = holding(phase=Phase.PROMOTING, step=RELEASE, committed=True, weight=100.0, routed=100.0)
    assert outside(committed).state.reason != Reason.OUTSIDE_WINDOW
    full = give(holding(), "promote", world=replace(steered(10.0), timing=SHUT), full=True)
    assert outside(full).state.reason != Reason.OUTSIDE_WINDOW


def test_who_promotes_by_hand_is_told_when_it_goes_on() -> None:
    state = outside(holding()).state
    state = give(state, "promote", now=118.0, world=replace(steered(10.0), timing=SHUT))
    assert "it goes on later: outside of its windows until" in state.notes[-1].message
    state = outside(state, now=119.0).state
    assert (state.approved, state.phase, state.weight) == (True, Phase.HOLDING, 10.0)


@pytest.mark.parametrize(("verb", "phase"), [("abort", Phase.ROLLING_BACK), ("pause", Phase.PAUSED)])
def test_a_run_that_stands_still_can_be_aborted_and_paused(verb: str, phase: Phase) -> None:
    state = give(outside(holding()).state, verb, now=130.0, world=replace(steered(10.0), timing=SHUT))
    assert (state.phase, state.standing) == (phase, None)


def test_a_pause_outside_of_the_windows_counts_no_time_twice() -> None:
    world = replace(steered(10.0), timing=SHUT)
    state = give(outside(holding()).state, "pause", now=130.0, world=world)
    state = give(state, "resume", now=150.0, world=steered(10.0), uid="o2", content="2")
    assert hold_spent(state, 150.0) == 6.0


def test_windows_that_cannot_be_read_allow_nothing_and_the_run_is_looked_after() -> None:
    broken = Timing(Windows(allow=(window("0 9 * * nonsense", "1h"),)))
    turn = outside(holding(), timing=broken)
    assert turn.state.reason == Reason.OUTSIDE_WINDOW
    assert "cannot be read" in turn.state.message
    assert turn.wake < 60


def test_a_start_at_a_time_is_waited_for() -> None:
    turn = decide(RUN, State(), replace(seen(), timing=Timing(start_at=1000.0)), 100.0)
    assert (turn.state.reason, turn.wake) == (Reason.SCHEDULED, 900.0)
    assert outside(holding(), timing=Timing(start_at=1000.0)).state.reason != Reason.SCHEDULED


def test_the_example_keeps_to_the_hours_of_two_cities_and_to_its_launch_day() -> None:
    plan = from_object(yaml.safe_load((EXAMPLES / "windows" / "canary.yaml").read_text(encoding="utf-8")))
    assert isinstance(plan, CanaryPlan)
    times = timing_of(plan, ())
    assert unready(times, at("2026-01-05T07:59")) == Standstill(
        Reason.SCHEDULED, "it starts at Mon 2026-01-05 09:00 Europe/Berlin", at("2026-01-05T08:00")
    )
    assert unready(times, at("2026-01-05T21:59")) is None  # New York works until 22:00 UTC
    over = unready(times, at("2026-03-27T14:00"))  # Friday, 15:00 in Berlin
    assert over is not None
    assert over.until == at("2026-03-30T07:00")
