"""The small PromQL: Prometheus' arithmetic on sampled series, and errors instead of other answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from rollout.adapters.memory.promql import answer
from rollout.adapters.memory.promql_parse import QueryError, parse
from rollout.adapters.memory.series import Key, SeriesStore, labelled

NOW = 100.0


def store(**series: Callable[[float], float | None]) -> SeriesStore:
    """Series sampled at 0, 10, ... 100; `name__a` is `name{l="a"}`, and None is a gap."""
    made = SeriesStore(10)
    for moment in range(0, 101, 10):
        told = []
        for key, value in series.items():
            name, _, label = key.partition("__")
            found = value(float(moment))
            if found is not None:
                told.append((Key(name, labelled({"l": label, "job": "x"} if label else {})), found))
        made.sample(float(moment), told)
    return made


def linear(slope: float, start: float = 0.0) -> Callable[[float], float]:
    return lambda moment: start + slope * moment


REQUESTS = store(r__a=linear(1, 1000), r__b=linear(2, 1000), g=lambda moment: 7.0)


def series(query: str, found: SeriesStore = REQUESTS, now: float = NOW) -> dict[str, Any]:
    """The answer by label `l`."""
    vector = answer(query, found, now)
    assert not isinstance(vector, float)
    return {labels.get("l", ""): pytest.approx(value) for labels, value in vector}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("r", {"a": 1100, "b": 1200}),
        ('r{l="a"}', {"a": 1100}),
        ('r{l!="a",job=~"x|y"}', {"b": 1200}),
        ('r{l!~"[ab]"}', {}),
        ('r{l="a"} offset 1m', {"a": 1040}),
        ("increase(r[1m])", {"a": 60, "b": 120}),
        ("rate(r[1m])", {"a": 1, "b": 2}),
        ("rate(r[30s] offset 20s)", {"a": 1, "b": 2}),
        ("sum(r)", {"": 2300}),
        ("sum by (l) (rate(r[1m]))", {"a": 1, "b": 2}),
        ("sum without (l) (r)", {"": 2300}),
        ("sum(r) by (l)", {"a": 1100, "b": 1200}),
        ("count(r offset 95s)", {"": 2}),
        ("count(r offset 101s)", {}),
        ("max(r) - min(r)", {"": 100}),
        ("avg(r)", {"": 1150}),
        ("group(r)", {"": 1}),
        ("max_over_time(r[25s])", {"a": 1100, "b": 1200}),
        ("min_over_time(r[25s])", {"a": 1080, "b": 1160}),
        ("avg_over_time(r[25s])", {"a": 1090, "b": 1180}),
        ("count_over_time(r[25s])", {"a": 3, "b": 3}),
        ("r > 1150", {"b": 1200}),
        ("r > bool 1150", {"a": 0, "b": 1}),
        ("1150 < r", {"b": 1200}),
        ("r / r", {"a": 1, "b": 1}),
        ('r / on (job) r{l="a"} > 2', None),
        ('r{l="a"} / on (job) r{l="b"}', {"": 11 / 12}),
        ('r{l="a"} - ignoring (l) r{l="b"}', {"": -100}),
        ('r and r{l="a"}', {"a": 1100}),
        ('r unless r{l="a"}', {"b": 1200}),
        ('r{l="a"} or r', {"a": 1100, "b": 1200}),
        ("absent(nothing)", {"": 1}),
        ("absent(r)", {}),
        ("sum(nothing) or vector(0)", {"": 0}),
        ("vector(2) + 3 * 2 ^ 2 - -1", {"": 15}),
        ("clamp_max(r, 1150)", {"a": 1100, "b": 1150}),
        ("time() - timestamp(r)", {"a": 0, "b": 0}),
        ("abs(r - 1150)", {"a": 50, "b": 50}),
        ('{__name__=~"r|g",l=~"a|"}', {"a": 1100, "": 7}),
        ("scalar(g) * r", {"a": 7700, "b": 8400}),
    ],
)
def test_answers(query: str, wanted: dict[str, float] | None) -> None:
    if wanted is None:
        with pytest.raises(QueryError, match="many-to-one"):
            answer(query, REQUESTS, NOW)
    else:
        assert series(query) == wanted


@pytest.mark.parametrize(("query", "wanted"), [("1 + 2 * 3", 7.0), ("-2 ^ 2", -4.0), ("7 % 4", 3.0), ("1 == 2", 0.0)])
def test_numbers(query: str, wanted: float) -> None:
    assert answer(query, REQUESTS, NOW) == wanted


@pytest.mark.parametrize(("query", "wanted"), [("0 / 0", math.nan), ("1 / 0", math.inf), ("-1 / 0", -math.inf)])
def test_division_by_nothing(query: str, wanted: float) -> None:
    assert answer(query, REQUESTS, NOW) == pytest.approx(wanted, nan_ok=True)


def test_a_counter_that_began_lately_is_not_extrapolated_below_nothing() -> None:
    """The first value is lost, as in Prometheus: 5 requests are there at once, and 4 more are seen to come."""
    young = store(r=lambda moment: None if moment < 70 else 5.0 + (moment - 70) / 10 * 2)
    assert series("increase(r[100s])", young) == {"": pytest.approx(6 * 35 / 30)}
    once = store(r=lambda moment: 3.0 if moment == 100 else None)
    assert series("increase(r[100s])", once) == {}
    assert series("(max_over_time(r[90s]) unless r offset 90s) or increase(r[90s])", once) == {"": 3}


def test_a_reset_counts_from_nothing() -> None:
    reset = store(r=lambda moment: moment if moment <= 50 else moment - 60)
    assert series("increase(r[100s])", reset)[""] == pytest.approx(90 * 100 / 90, rel=0.2)


def test_what_is_gone_is_not_there_at_once_and_old_samples_do_not_count() -> None:
    gone = store(r=lambda moment: 5.0 if moment < 100 else None, s=lambda moment: 1.0)
    assert series("r", gone) == {}
    assert series("r", gone, now=99) == {"": 5}
    assert series("r offset 5s", gone) == {"": 5}
    assert series("s", gone, now=NOW + 299) == {"": 1}
    assert series("s", gone, now=NOW + 301) == {}


def test_a_series_that_comes_back_has_a_gap() -> None:
    found = store(r=lambda moment: None if 30 <= moment <= 60 else moment)
    assert series("count_over_time(r[100s])", found) == {"": 6}
    assert series("r", found, now=50) == {}


def test_quantiles_are_linear_within_a_bucket() -> None:
    made = SeriesStore(10)
    for moment in (0.0, 60.0):
        counts = {"100": 50.0, "200": 90.0, "+Inf": 100.0}
        told = [(Key("d_bucket", labelled({"le": le})), count * moment) for le, count in counts.items()]
        made.sample(moment, told)
    for quantile, wanted in ((0.5, 100.0), (0.7, 150.0), (0.99, 200.0)):
        found = answer(f"histogram_quantile({quantile}, sum by (le) (rate(d_bucket[2m])))", made, 60)
        assert isinstance(found, list)
        assert [value for _, value in found] == [pytest.approx(wanted)]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "r[",
        "r{l}",
        'r{l~"a"}',
        "sum(r",
        "r r",
        "rate(r)",
        "r[5m]",
        "unheard(r)",
        "sum(1)",
        "1 and r",
        "{}",
        'r{l=~"("}',
        "rate(sum(r)[5m:1m])",
        "sum by l (r)",
        "vector(r)",
        'rate({__name__=~"r|t"}[1m])',
        "r + on (job) r",
        "r $ 2",
    ],
)
def test_what_cannot_be_answered_is_an_error(query: str) -> None:
    found = store(r__a=linear(1), r__b=linear(1), t__a=linear(1))
    with pytest.raises(QueryError):
        answer(query, found, NOW)


def test_reading_is_done_once_for_each_query() -> None:
    assert parse("sum(rate(x[5m]))") is parse("sum(rate(x[5m]))")
