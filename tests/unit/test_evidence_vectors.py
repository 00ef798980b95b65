"""The numbers that the research computed by other means, to all digits that it gives."""

from __future__ import annotations

import math

import pytest

from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.effect import Tally, judge, tally
from rollout.decide.evidence.inferiority import Exceeding, Past, Proof, exceed, log_factor, prove
from rollout.decide.evidence.intervals import beta_cdf, beta_quantile, clopper_pearson, wilson
from rollout.decide.evidence.mixture import UNSTARTED, change_point, log_mean
from rollout.decide.evidence.objective import factors as objective_factors
from rollout.decide.evidence.objective import requests_to_keep
from rollout.decide.evidence.power import Rule, requests_to_detect, requests_to_prove
from rollout.decide.evidence.ratio import RATIOS, factors, rate_ratio

LOOK = Arms(100, 3, 900, 2)


@pytest.mark.parametrize(("limit", "wanted"), [(1.0, "3.1459526"), (1.5, "2.5683881")])
def test_log_likelihood_ratio_of_one_alternative(limit: float, wanted: str) -> None:
    assert f"{factors(LOOK, limit=limit)[RATIOS.index(5.0)]:.7f}" == wanted


def test_mean_over_the_grid() -> None:
    assert f"{math.exp(log_mean(factors(LOOK))):.6f}" == "19.796846"


def test_the_example_of_the_explanation() -> None:
    assert f"{math.exp(log_mean(factors(Arms(420, 7, 3780, 9)))):.2f}" == "130.13"


def test_two_looks_with_a_change_point() -> None:
    first = rate_ratio(UNSTARTED, LOOK, planned=2)
    assert f"{math.exp(first.log_e):.6f}" == "15.097635"
    second = rate_ratio(first, Arms(100, 4, 900, 1), planned=2)
    assert f"{math.exp(second.log_e):.4f}" == "7058.0057"


def test_stakes_of_two_planned_looks() -> None:
    assert [change_point(n, 2) for n in range(4)] == [0.75, 0.25, 0, 0]


@pytest.mark.parametrize(("bad", "wanted"), [(0, "+2.7422570"), (5, "-6.0797978")])
def test_non_inferiority_against_the_half_plane(bad: int, wanted: str) -> None:
    assert f"{log_factor(Arms(300, bad, 900, 1), 0.002, 0.002, margin=0.01):+.7f}" == wanted


def test_the_proof_bets_on_what_both_arms_did_together() -> None:
    state = prove(Proof(past=Past(500, 1)), Arms(300, 0, 900, 1), margin=0.01)
    assert f"{state.log_e:+.7f}" == "+2.7422570"
    assert state.past == Past(1700, 2)


@pytest.mark.parametrize(
    ("bad", "total", "lower", "upper"), [(0, 300, "0.00", "1.22"), (3, 600, "0.10", "1.45"), (12, 600, "1.04", "3.47")]
)
def test_exact_intervals(bad: int, total: int, lower: str, upper: str) -> None:
    found = clopper_pearson(bad, total)
    assert [f"{100 * bound:.2f}" for bound in found] == [lower, upper]


def test_exact_interval_without_bad_requests_has_a_closed_form() -> None:
    assert clopper_pearson(0, 300)[1] == pytest.approx(1 - 0.025 ** (1 / 300), rel=1e-12)
    assert clopper_pearson(300, 300)[0] == pytest.approx(0.025 ** (1 / 300), rel=1e-12)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_exact_intervals_hold_their_binomial_tails() -> None:
    """The bounds are where the tails of the binomial have 2.5 % each: the definition, summed up."""
    total, bad = 60, 7
    lower, upper = clopper_pearson(bad, total)
    tail_above = sum(math.comb(total, k) * lower**k * (1 - lower) ** (total - k) for k in range(bad, total + 1))
    tail_below = sum(math.comb(total, k) * upper**k * (1 - upper) ** (total - k) for k in range(bad + 1))
    assert (tail_above, tail_below) == pytest.approx((0.025, 0.025))


@pytest.mark.parametrize("scale", [1, 1e3, 1e6])
def test_beta_quantiles_invert_at_any_size(scale: float) -> None:
    for probability in (0.025, 0.5, 0.975):
        x = beta_quantile(probability, 3 * scale, 597 * scale)
        assert beta_cdf(x, 3 * scale, 597 * scale) == pytest.approx(probability, abs=1e-6)


def test_wilson() -> None:
    """Its bounds are the shares from which the observed one is just 1.96 standard deviations away."""
    for bound in wilson(12, 600):
        assert abs(0.02 - bound) / math.sqrt(bound * (1 - bound) / 600) == pytest.approx(1.959964, abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 300)[0] == 0.0


def test_rule_of_three() -> None:
    assert math.ceil(requests_to_keep(0.01, 0.05)) == 300


def test_requests_to_detect_and_to_prove() -> None:
    needed = requests_to_detect(Rule(alpha=0.01, gates=2), weight=0.1, base=0.001, regression=0.01)
    assert 570 < needed < 590
    assert requests_to_prove(Rule()) == pytest.approx(399.6, abs=0.1)


def test_one_look_against_an_objective() -> None:
    found = objective_factors(100, 3, 0.01, (2.0, 0.5), 2.0)
    assert found[0] == pytest.approx((3 * math.log(2) + 97 * math.log(0.98 / 0.99)) / 2)
    assert found[1] == pytest.approx((3 * math.log(0.5) + 97 * math.log(0.995 / 0.99)) / 2)


def test_the_strict_test_bets_on_the_primary_plus_an_increase() -> None:
    state = exceed(Exceeding(past=Past(1000, 300)), Arms(100, 60, 900, 290), planned=1)
    assert state.past == Past(1900, 590)
    wanted = [log_factor(Arms(100, 60, 900, 290), 0.3 + d, 0.3, margin=0.0) for d in (0.01, 0.02, 0.04, 0.08, 0.16)]
    assert state.log_e == pytest.approx(log_mean(wanted))


def test_a_finding_has_the_numbers_of_its_sentence() -> None:
    state = Tally()
    for number in range(1, 4):
        state = tally(state, Arms(140, 3 if number == 1 else 2, 1260, 3), 15.0 * number, least=0.005)
    found = judge(math.log(130.13), state, alpha=0.02, gates=2, least=0.005, phi=1.0)
    assert found.failed
    assert (round(found.strength, 2), round(found.limit)) == (130.13, 100)
    assert (found.counts, found.exceeded, found.looks) == (Arms(420, 7, 3780, 9), 3, 3)
    assert round(100 * found.effect, 1) == 1.4
    assert found.anytime_p == pytest.approx(1 / 130.13)
