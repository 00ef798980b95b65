"""The time is the API server's, within what its answers leave open, and goes on by our monotonic clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.adapters.serverclock import ServerClock

TRUE = 1_700_000_000.25


@dataclass
class Local:
    """A process with a wall clock that somebody may set."""

    passed: float = 0.0
    wrong: float = 0.0

    def now(self) -> float:
        return TRUE + self.passed + self.wrong

    def monotonic(self) -> float:
        return 77.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds


def answer(clock: ServerClock, local: Local, out: float = 0.0, back: float = 0.0) -> None:
    """The API server answers: so long the request takes to it, and so long the answer from there."""
    local.passed += out
    date = math.floor(TRUE + local.passed)
    local.passed += back
    clock.heard(date, out + back)


@pytest.mark.parametrize("wrong", [-600.0, -1.0, 0.0, 1.0, 600.0])
def test_one_answer_puts_a_wrong_clock_right(wrong: float) -> None:
    local = Local(wrong=wrong)
    clock = ServerClock(local)
    assert clock.now() == TRUE + wrong, "until then there is only our own"
    answer(clock, local)
    assert abs(clock.now() - TRUE) <= 1.0


def test_a_clock_that_is_right_is_left_alone() -> None:
    local = Local()
    clock = ServerClock(local)
    for _ in range(20):
        answer(clock, local, out=0.3, back=0.4)
        assert clock.now() == local.now()


def test_who_sets_our_clock_in_mid_life_moves_nothing() -> None:
    local = Local()
    clock = ServerClock(local)
    local.wrong = 600.0
    assert clock.now() == TRUE


waits = st.floats(0.0, 30.0)


@given(st.floats(-1e6, 1e6), st.lists(st.tuples(waits, waits, waits), min_size=1, max_size=30))
def test_slow_answers_never_make_it_worse(wrong: float, answers: list[tuple[float, float, float]]) -> None:
    local = Local(wrong=wrong)
    clock = ServerClock(local)
    error = abs(wrong)
    for wait, out, back in answers:
        local.passed += wait
        answer(clock, local, out, back)
        now = abs(clock.now() - TRUE - local.passed)
        assert now <= error + 1e-3
        assert now <= 1.0 + out + back + 1e-3
        error = now
