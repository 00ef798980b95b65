"""The heap of due times, against the obvious dictionary."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rollout.controller.due import Due

keys = st.sampled_from("abcde")
times = st.one_of(st.integers(0, 20).map(float), st.just(math.inf))
acts = st.lists(st.one_of(st.tuples(keys, times), times.filter(math.isfinite)), max_size=60)


@given(acts)
def test_it_is_the_earliest_time_of_each_key(story: list[tuple[str, float] | float]) -> None:
    due, naive = Due[str](), dict[str, float]()
    for act in story:
        if isinstance(act, tuple):
            key, at = act
            due.push(key, at)
            if at < naive.get(key, math.inf):
                naive[key] = at
        else:
            popped = due.pop(act)
            expected = {key: at for key, at in naive.items() if at <= act}
            assert sorted(popped) == sorted(expected)
            assert [expected[key] for key in popped] == sorted(expected.values()), "the longest overdue first"
            naive = {key: at for key, at in naive.items() if at > act}
        assert len(due) == len(naive)
        assert due.next() == min(naive.values(), default=math.inf)


def test_what_is_due_at_once_keeps_its_order() -> None:
    due = Due[str]()
    for key in "cab":
        due.push(key, 1.0)
    assert due.pop(1.0) == ["c", "a", "b"]


def test_a_key_that_is_pushed_earlier_again_and_again_does_not_pile_up() -> None:
    """A plan with a far deadline that is looked at all the time."""
    due = Due[str]()
    for now in range(10_000):
        due.push("web", now + 100_000.0)
        due.push("web", float(now))
        assert due.pop(float(now)) == ["web"]
    assert len(due._heap) < 1000
