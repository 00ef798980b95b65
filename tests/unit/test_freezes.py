"""A freeze keeps runs where they are and lets none begin; what fails goes home, and what is ordered in full goes on."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rollout.decide.engine import decide
from rollout.decide.keeping import closed
from rollout.decide.reason import Reason
from rollout.decide.seen import Timing
from rollout.observe.timing import timing
from rollout.plan.base import Json
from rollout.plan.freeze import Freeze, FreezeSpec
from rollout.plan.run import Phase, State
from rollout.plan.window import Windows
from tests.kit.builders import RUN, holding, seen, steered


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NIGHT = {"start": "0 20 * * *", "duration": "10h"}
MAY, JUNE = "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"


def frozen(**spec: Any) -> Timing:
    return Timing(freezes=(Freeze("launch", FreezeSpec.model_validate({"reason": "launch day", **spec})),))


@pytest.mark.parametrize(
    ("spec", "now", "ends"),
    [
        ({}, "2026-05-02", "never"),
        ({"since": MAY, "until": JUNE}, "2026-04-30", ""),
        ({"since": MAY, "until": JUNE}, "2026-05-01", "2026-06-01"),
        ({"since": MAY, "until": JUNE}, "2026-06-01", ""),
        ({"windows": [NIGHT]}, "2026-05-01T12:00", ""),
        ({"windows": [NIGHT]}, "2026-05-01T21:00", "2026-05-02T06:00"),
        ({"windows": [NIGHT], "until": "2026-05-02T00:00:00Z"}, "2026-05-01T21:00", "2026-05-02T00:00"),
        # the night on which clocks go forward: ten hours that really pass
        ({"windows": [NIGHT | {"timeZone": "Europe/Paris"}]}, "2026-03-29T04:00", "2026-03-29T05:00"),
    ],
)
def test_when_it_is_in_force_and_until_when(spec: Json, now: str, ends: str) -> None:
    wanted = {"never": math.inf, "": None}.get(ends, at(ends) if ends[:1] == "2" else None)
    assert FreezeSpec.model_validate({"reason": "x", **spec}).end(at(now)) == wanted


@pytest.mark.parametrize(
    ("spec", "concerned"),
    [
        ({}, True),
        ({"namespaces": ["shop"]}, True),
        ({"namespaces": ["pay", "sh*"]}, True),
        ({"namespaces": ["pay"]}, False),
        ({"plans": {"tier": "gold"}}, True),
        ({"plans": {"tier": "gold", "team": "b"}}, False),
        ({"namespaces": ["pay"], "plans": {"tier": "gold"}}, False),
    ],
)
def test_whom_it_is_about(spec: Json, concerned: bool) -> None:
    plan = {"metadata": {"name": "web", "namespace": "shop", "labels": {"tier": "gold"}}, "spec": {}}
    freeze = {"metadata": {"name": "launch"}, "spec": {"reason": "launch day", **spec}}
    assert bool(timing(plan, [freeze]).freezes) is concerned


def test_a_run_stays_where_it_is_and_says_by_whom_why_and_until_when() -> None:
    world = replace(steered(10.0), timing=frozen(until="1970-01-01T09:00:00Z"))
    turn = decide(RUN, holding(), world, 500.0)  # its hold of 10 s was over at 120
    assert (turn.actions, turn.state.phase, turn.state.weight) == ((), Phase.HOLDING, 10.0)
    assert turn.state.reason == Reason.FROZEN
    assert turn.state.message == "frozen by ChangeFreeze/launch until Thu 1970-01-01 09:00 UTC: launch day"
    turn = decide(RUN, holding(), replace(world, timing=frozen()), 500.0)
    assert turn.state.message == "frozen by ChangeFreeze/launch until it is deleted: launch day"


def test_after_it_the_windows_count_again() -> None:
    nine = Windows.model_validate({"allow": [{"start": "0 9 * * *", "duration": "1h"}]})
    both = Timing(nine, freezes=frozen(until="1970-01-01T09:30:00Z").freezes)
    told = [
        still.reason if (still := closed(both, at(f"1970-01-01T{time}"))) else ""
        for time in ("08:00", "09:45", "11:00")
    ]
    assert told == [Reason.FROZEN, "", Reason.OUTSIDE_WINDOW]


def test_none_begins() -> None:
    turn = decide(RUN, State(), replace(seen(), timing=frozen(until="1970-01-01T00:10:00Z")), 100.0)
    assert (turn.state.reason, turn.wake, turn.state.floor) == (Reason.FROZEN, 500.0, 0)


def test_one_that_cannot_be_read_is_about_everybody_and_says_so() -> None:
    stored = {"metadata": {"name": "new"}, "spec": {"reason": "x", "since": 7}}
    still = closed(timing({"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}, [stored]), 0.0)
    assert still is not None
    assert "ChangeFreeze/new cannot be read" in still.message
    still = closed(frozen(windows=[NIGHT | {"start": "0 9 * * nonsense"}]), 0.0)
    assert still is not None
    assert "the windows of ChangeFreeze/launch cannot be read" in still.message
