"""Names of objects as values of labels, which are shorter and end otherwise."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rollout.plan.base import NAME, label_value

LABEL = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
"""As the API server checks it."""


@given(st.from_regex(NAME.replace("$", r"\Z"), fullmatch=True).filter(lambda name: len(name) <= 253))
def test_every_name_has_a_valid_label_value_and_a_short_one_is_its_own(name: str) -> None:
    value = label_value(name)
    assert re.fullmatch(LABEL, value)
    assert len(value) <= 63
    assert name.startswith(value)
    assert value == name or len(name) > 63


def test_a_name_that_would_be_cut_at_a_dash_ends_before_it() -> None:
    assert label_value("a" * 62 + "-" + "b" * 5) == "a" * 62
    assert label_value("a" * 60 + ".-." + "b") == "a" * 60
