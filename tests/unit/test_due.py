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


def test_when_not_all_can_be_taken_the_patient_ones_let_the_others_go_first_for_a_while() -> None:
    due = Due[str]()
    for key, at in (("new", 0.0), ("newer", 1.0), ("under way", 15.0), ("later", 40.0)):
        due.push(key, at)

    def patience(key: str) -> float:
        return 20.0 if key.startswith("new") else 0.0

    assert due.pop(16.0, 1, patience) == ["under way"]
    due.push("under way", 20.5)
    assert due.pop(21.0, 2, patience) == ["new", "under way"], "not for ever"
    assert due.pop(21.0, 0, patience) == []
    assert due.pop(21.0, 5, patience) == ["newer"]
    assert (len(due), due.next()) == (1, 40.0)


def test_what_was_not_taken_is_due_at_its_own_time_still() -> None:
    due = Due[str]()
    due.push("web", 5.0)
    due.push("web", 3.0)
    assert due.pop(9.0, 0) == []
    assert due.next() == 3.0
    assert due.pop(9.0) == ["web"]
    due.push("web", 5.0)
    assert (due.pop(9.0), len(due)) == (["web"], 0)
