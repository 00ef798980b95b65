"""What a schedule would catch, by formula."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.decide.evidence.power import (
    Rule,
    Schedule,
    Sensitivity,
    Stage,
    forecast,
    needed,
    requests_to_detect,
    requests_to_prove,
    sense,
)
from rollout.decide.evidence.traffic import expected

STEPS = Schedule(tuple(Stage(weight, 120) for weight in (0.1, 0.2, 0.3, 0.4, 0.5)))
RULE = Rule(alpha=0.01, gates=2)


def test_looks_of_a_schedule() -> None:
    looks = list(STEPS.looks())
    assert len(looks) == 40
    assert (looks[0], looks[7], looks[8], looks[-1]) == ((15, 0.1), (120, 0.1), (135, 0.2), (600, 0.5))


def test_requests_of_looks_are_whole_and_none_is_lost() -> None:
    looks = expected(replace(STEPS, every=5.0), 7.3)
    assert sum(look.canary for look in looks) == pytest.approx(7.3 * 600 * 0.3, abs=1)
    assert sum(look.primary for look in looks) == pytest.approx(7.3 * 600 * 0.7, abs=1)


def test_looks_without_requests_in_both_arms_are_left_out() -> None:
    assert expected(Schedule((Stage(1.0, 60), Stage(0.0, 60))), 100) == []
    assert len(expected(Schedule((Stage(0.1, 600),)), 0.1)) < 40


@pytest.mark.parametrize(
    ("rate", "base", "regression", "minutes", "off"),
    [
        (100, 0.001, 0.01, 1.0, 0.5),  # medians of the simulation
        (100, 0.005, 0.01, 2.25, 0.75),
        (10, 0.001, 0.05, 1.5, 0.5),
        (10, 0.005, 0.05, 2.0, 0.5),
    ],
)
def test_when_it_is_found(rate: float, base: float, regression: float, minutes: float, off: float) -> None:
    found = forecast(STEPS, RULE, rate=rate, base=base, regression=regression)
    assert found.seconds is not None
    assert found.seconds / 60 == pytest.approx(minutes, abs=off)
    assert found.probability > 0.99


def test_the_formula_look_by_look() -> None:
    """As the research writes it down, for one weight and four looks of 135 and 15 requests."""
    n_c, n_p, p0, d, phi = 60.0, 540.0, 0.02, 0.05, 1.5
    rho = (p0 + d) / p0
    big_d = 1 + 0.1 * (rho - 1)
    gain = math.log(rho) - math.log(big_d)
    mean = (n_c * (p0 + d) * gain - n_p * p0 * math.log(big_d)) / phi
    variance = (n_c * (p0 + d) * gain**2 + n_p * p0 * math.log(big_d) ** 2) / phi
    limit = math.log(200) + math.log(7 / 2) + math.log(2)
    found = forecast(Schedule((Stage(0.1, 60),)), RULE, rate=10, base=p0, regression=d, phi=phi)
    assert found.probability == pytest.approx(NormalDist().cdf((mean - limit) / math.sqrt(variance)))


def test_low_traffic_is_said_to_be_weak() -> None:
    found = forecast(STEPS, RULE, rate=10, base=0.005, regression=0.01)
    assert 0.3 < found.probability < 0.6
    assert forecast(STEPS, RULE, rate=1, base=0.005, regression=0.005).seconds is None


shares = st.floats(0.0005, 0.04)
rates = st.floats(1, 1000)
regressions = st.floats(0.001, 0.3)


@given(rates, shares, regressions, st.floats(1.05, 5))
def test_more_traffic_finds_sooner(rate: float, base: float, regression: float, factor: float) -> None:
    less, more = (forecast(STEPS, RULE, rate=r, base=base, regression=regression) for r in (rate, rate * factor))
    assert more.probability >= less.probability - 1e-12
    if less.seconds is not None:
        assert more.seconds is not None
        assert more.seconds <= less.seconds


@given(rates, shares, regressions, st.floats(1.05, 5))
def test_worse_is_found_sooner(rate: float, base: float, regression: float, factor: float) -> None:
    less, more = (forecast(STEPS, RULE, rate=rate, base=base, regression=d) for d in (regression, regression * factor))
    if less.seconds is not None:
        assert more.seconds is not None
        assert more.seconds <= less.seconds
    needed = [requests_to_detect(RULE, weight=0.1, base=base, regression=d) for d in (regression, regression * factor)]
    assert needed[1] < needed[0]


@given(rates, shares, regressions, st.floats(1.1, 50))
def test_bursts_cost_power(rate: float, base: float, regression: float, phi: float) -> None:
    calm, bursty = (forecast(STEPS, RULE, rate=rate, base=base, regression=regression, phi=f) for f in (1.0, phi))
    assert calm.seconds is not None or bursty.seconds is None
    assert requests_to_prove(RULE, phi=phi) == pytest.approx(phi * requests_to_prove(RULE))


def test_what_was_seen_so_far_says_what_would_have_been_found() -> None:
    """Real looks of any size add up to the forecast of the same requests."""
    seen = Sensitivity()
    assert seen.power(RULE) == 0.0
    for _, weight in STEPS.looks():
        seen = sense(seen, 150 * weight, 150 * (1 - weight), base=0.005, regression=0.01)
    assert seen.power(RULE) == forecast(STEPS, RULE, rate=10, base=0.005, regression=0.01).probability
    assert sense(seen, 100, 0, base=0.005, regression=0.01) == seen


def test_what_is_still_missing_for_a_decision() -> None:
    rule = Rule(alpha=0.02, gates=2)
    whole = requests_to_detect(rule, weight=0.1, base=0.005, regression=0.01)
    seen = sense(Sensitivity(), whole / 4, 9 * whole / 4, base=0.005, regression=0.01)
    left = requests_to_detect(rule, weight=0.1, base=0.005, regression=0.01, seen=seen.mean)
    assert left == pytest.approx(0.75 * whole)
    assert requests_to_detect(rule, weight=0.1, base=0.005, regression=0.01, seen=needed(rule) + 1) == 0.0


def test_a_service_that_never_failed_can_be_forecast() -> None:
    found = forecast(STEPS, RULE, rate=10, base=0.0, regression=0.01)
    assert found.seconds is not None
    assert found.probability > 0.9
