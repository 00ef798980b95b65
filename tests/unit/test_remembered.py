"""What was made of objects is made again as soon as one of them is another object, and not before."""

from __future__ import annotations

import itertools

from rollout.observe.remembered import Remembered
from rollout.plan.base import Json


def test_the_same_objects_are_read_once_and_other_ones_anew() -> None:
    known, numbers = Remembered(), itertools.count(1)

    def look(*given: Json) -> int:
        return known.same("route", given, lambda: next(numbers))

    one: Json = {"metadata": {"name": "one"}}
    two: Json = {"metadata": {"name": "two"}}
    assert [look(one, two), look(one, two)] == [1, 1]
    assert look(one, dict(two)) == 2  # equal, and yet another: who reads from the API server
    assert look(one) == 3  # one has gone
    assert look(two, one) == 4  # changed places
    assert look() == 5
    assert look() == 5


def test_questions_do_not_answer_each_other() -> None:
    known, one = Remembered(), {"metadata": {"name": "one"}}
    assert known.same("route", [one], lambda: "here") == "here"
    assert known.same("candidate", [one], lambda: "ready") == "ready"
    assert known.same("route", [one], lambda: "elsewhere") == "here"
