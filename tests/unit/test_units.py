"""Durations, percents and limits; and the examples in the docstrings of the plan package."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan import base, located, query, steps
from rollout.plan.base import number, ratio, seconds, spell


@pytest.mark.parametrize(
    ("text", "length"),
    [("30s", 30.0), ("1m30s", 90.0), ("250ms", 0.25), ("2h", 7200.0), ("1.5m", 90.0), ("1d1s", 86401.0), ("0s", 0.0)],
)
def test_a_duration_is_read_in_seconds(text: str, length: float) -> None:
    assert seconds(text) == length


@given(st.integers(0, 10**9))
def test_whole_seconds_survive_being_spelled(length: int) -> None:
    assert seconds(spell(length)) == length


@given(st.integers(1, 999))
def test_milliseconds_survive_being_spelled(count: int) -> None:
    assert seconds(spell(count / 1000)) == pytest.approx(count / 1000)


@given(st.floats(0, 100).map(lambda share: round(share, 6)))
def test_percents_are_shares(percent: float) -> None:
    assert ratio(f"{percent:f}%") == pytest.approx(percent / 100)


def test_a_limit_is_a_number_or_a_percent() -> None:
    assert number("99%") == number(0.99) == 0.99


@pytest.mark.parametrize("module", [base, located, query, steps])
def test_the_examples_in_docstrings_hold(module: ModuleType) -> None:
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


@pytest.mark.parametrize("length", [0.9996, 1.4, 59.6, 3600.2])
def test_from_one_second_on_whole_seconds_are_spelled(length: float) -> None:
    assert seconds(spell(length)) == round(length)
