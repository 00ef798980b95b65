"""Trials: the short way is the long one, chance is what it should be, and a seed is a result."""

from __future__ import annotations

import math
from random import Random

import pytest

from rollout.decide.evidence import inferiority, ratio
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.effect import Tally, judge, tally
from rollout.decide.evidence.fixed import FixedThreshold
from rollout.decide.evidence.inferiority import Proof, history, prove, proved
from rollout.decide.evidence.mixture import change_point
from rollout.decide.evidence.power import Rule, Schedule, Stage
from rollout.decide.evidence.sampling import Table, poisson, table
from rollout.decide.evidence.tempered import FRESH, log_e, temper
from rollout.decide.evidence.traffic import Counted, Incident, Stories, Traffic, expected
from rollout.decide.evidence.trials import Judge, Outcome, preview, trials

STEPS = Schedule(tuple(Stage(weight, 120) for weight in (0.1, 0.2, 0.3, 0.4, 0.5)))
RULE = Rule(alpha=0.01, gates=2)


def chances(found: Table) -> dict[int, float]:
    """What is drawn, and how often."""
    ends = [0.0, *found.cumulative]
    return {found.first + i: ends[i + 1] - ends[i] for i in range(len(found.cumulative))}


def mean_and_variance(found: Table) -> tuple[float, float]:
    parts = chances(found)
    mean = sum(k * p for k, p in parts.items())
    return mean, sum((k - mean) ** 2 * p for k, p in parts.items())


@pytest.mark.parametrize(("total", "share"), [(15, 0.005), (40, 0.3), (40, 0.97)])
def test_independent_requests_are_binomial(total: int, share: float) -> None:
    for k, chance in chances(table(total, share)).items():
        assert chance == pytest.approx(math.comb(total, k) * share**k * (1 - share) ** (total - k), abs=1e-15)


@pytest.mark.parametrize(("total", "share"), [(1, 0.5), (75_000, 0.02), (10**6, 1e-5)])
def test_tables_of_any_size_have_their_mean_and_variance(total: int, share: float) -> None:
    assert mean_and_variance(table(total, share)) == pytest.approx((total * share, total * share * (1 - share)))
    assert mean_and_variance(poisson(total * share)) == pytest.approx((total * share, total * share))


@pytest.mark.parametrize(("total", "share", "burst"), [(2000, 0.005, 5.0), (75_000, 0.02, 5.0), (75_000, 0.02, 50.0)])
def test_bursts_have_their_mean_and_fano_factor(total: int, share: float, burst: float) -> None:
    mean, variance = mean_and_variance(table(total, share, burst))
    assert mean == pytest.approx(total * share, rel=1e-6)
    assert variance / mean == pytest.approx(2 * burst - 1, rel=1e-6)


def test_certain_outcomes() -> None:
    for found, wanted in ((table(0, 0.5), 0), (table(9, 0.0), 0), (table(9, 1.0), 9), (poisson(0.0), 0)):
        assert found.draw(Random(1)) == wanted


def test_draws_follow_the_table() -> None:
    uniform, found = Random(7), table(150, 0.02)
    drawn = [found.draw(uniform) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(3.0, abs=5 * math.sqrt(2.94 / 20_000))


def by_the_long_way(traffic: Traffic, story: list[Counted]) -> Outcome:
    """With the functions that judge real looks."""
    past = history(1800 * traffic.rate, 1800 * traffic.rate * traffic.base)
    mixtures, base, proof, counted = FRESH, past, Proof(past=past), Tally()
    safe: float | None = None
    served = 0

    for seen, bad in zip(expected(STEPS, traffic.rate), story, strict=True):
        arms = Arms(seen.canary, bad.canary, seen.primary, bad.primary)
        served += bad.canary
        factors = inferiority.factors(arms, base) if past.share > 0.05 else ratio.factors(arms)
        mixtures = temper(mixtures, factors, change_point(mixtures[0].looks, 40))
        base = base.after(seen.primary, bad.primary)
        counted = tally(counted, arms, seen.at, least=RULE.least)
        found = log_e(mixtures, bad.phi)
        if judge(found, counted, alpha=0.01, gates=2, least=RULE.least, phi=bad.phi).failed:
            return Outcome(seen.at, safe, served)
        proof = prove(proof, arms, margin=RULE.tolerance)
        if safe is None and proved(proof.log_e / bad.phi, RULE.beta):
            safe = seen.at
    return Outcome(None, safe, served)


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(10, 0.005),
        Traffic(3.7, 0.004, 0.02),
        Traffic(10, 0.001, 0.01),
        Traffic(100, 0.01, 0.01, since=300),
        Traffic(1000, 0.005, 0.2),
        Traffic(1000, 0.005, 0.005, since=300),
        Traffic(10, 0.3, 0.1),
        Traffic(100, 0.3, 0.03),
        Traffic(100, 0.1, 0.02, since=120),
        Traffic(30, 0.005, burst=5),
        Traffic(30, 0.001, 0.02, incident=Incident(120, 300, 0.05)),
    ],
)
@pytest.mark.parametrize("phi", [1.0, 3.3, None])
def test_a_trial_ends_as_the_real_judgement(traffic: Traffic, phi: float | None) -> None:
    stories, short = Stories(STEPS, traffic, Random(11)), Judge(STEPS, traffic.rate, RULE, traffic.known(), phi)
    for _ in range(8):
        story = list(stories.tell(phi))
        assert short.judge(story) == by_the_long_way(traffic, story)


def test_the_burst_factor_follows_what_the_pods_do() -> None:
    """It is not only drawn from what was before: each look changes it for the next one."""
    story = list(Stories(STEPS, Traffic(100, 0.01, burst=20), Random(1)).tell())
    assert len({bad.phi for bad in story}) > 5
    assert 10 < story[0].phi < 80


def test_a_seed_is_a_result() -> None:
    one, again, other = (
        trials(STEPS, Traffic(10, 0.005, 0.01), RULE, Random(seed), 100, phi=1.0) for seed in (5, 5, 6)
    )
    assert one == again
    assert one != other


def test_a_large_regression_is_always_found_and_a_preview_says_when() -> None:
    found = preview(trials(STEPS, Traffic(100, 0.001, 0.05), RULE, Random(1), 200, phi=1.0))
    assert (found.share, found.proved) == (1.0, 0)
    assert found.median is not None
    assert found.late is not None
    assert 15 < found.median <= found.late <= 90
    assert found.served == pytest.approx(0.051 * 10 * found.median, rel=0.3)
    assert found.interval[0] > 0.98


def test_where_bad_requests_are_common_the_margin_test_judges() -> None:
    """30 % of requests are slow; 4 points more are found, which the ratio hardly could."""
    rule = Rule(alpha=0.02, gates=2)
    found = preview(trials(STEPS, Traffic(10, 0.3, 0.04), rule, Random(1), 300, phi=1.0))
    assert 0.25 < found.share < 0.45
    assert preview(trials(STEPS, Traffic(10, 0.3), rule, Random(1), 300, phi=1.0)).failed <= 2


def test_a_late_regression_is_not_found_before_it_is_there() -> None:
    found = trials(STEPS, Traffic(100, 0.005, 0.1, since=300), RULE, Random(1), 100, phi=1.0)
    assert all(one.failed is not None and 300 < one.failed <= 360 for one in found)


def test_an_incident_that_hits_both_arms_rejects_nobody() -> None:
    """Not even where it spoils every second request."""
    traffic = Traffic(100, 0.001, incident=Incident(120, 420, 0.5))
    found = preview(trials(STEPS, traffic, RULE, Random(1), 100, phi=1.0))
    assert found.failed == 0
    peer = FixedThreshold(STEPS, [traffic], Random(1), failures=5).trials(100)
    assert preview(peer).failed == 100


def test_without_traffic_nothing_is_found_and_the_peer_rolls_back() -> None:
    """No data is not bad data, here; there it is a failed check."""
    silent = Traffic(0.0, 0.01, 0.5)
    assert trials(STEPS, silent, RULE, Random(1), 3, phi=1.0) == [Outcome(None, None, 0)] * 3
    assert FixedThreshold(STEPS, [silent], Random(1), failures=5).trials(1) == [Outcome(300.0, None, 0)]


def test_the_peer_holds_the_weight_on_failure_and_never_forgets() -> None:
    """Of two checks the second one always fails: the weight stays at its first value until the limit."""
    both = [Traffic(100, 0.0), Traffic(100, 0.5)]
    assert FixedThreshold(STEPS, both, Random(1), failures=3).trials(1) == [Outcome(180.0, None, 0)]
    assert FixedThreshold(STEPS, both[:1], Random(1), failures=1).trials(1) == [Outcome(None, None, 0)]


def test_the_peer_looks_once_a_minute_until_the_end() -> None:
    last_minute = Traffic(100, 0.0, 0.5, since=570)
    assert [one.failed for one in FixedThreshold(STEPS, [last_minute], Random(1), failures=1).trials(1)] == [600.0]


def test_an_empty_preview_has_no_times() -> None:
    found = preview([Outcome(None, None, 3)])
    assert (found.median, found.late, found.proved_median, found.served) == (None, None, None, 3.0)
