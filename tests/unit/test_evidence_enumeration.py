"""Every possible count, weighted with its chance: under the null no bet grows on average, whatever came before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product

import pytest

from rollout.decide.evidence import tempered
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.inferiority import Exceeding, Past, Proof, exceed, prove
from rollout.decide.evidence.mixture import UNSTARTED, Mixture, change_point
from rollout.decide.evidence.objective import keep, overspend
from rollout.decide.evidence.ratio import factors, rate_ratio
from rollout.decide.evidence.split import Split, divide

EXACT = 1 + 1e-12
SIZES = [(1, 9), (5, 5), (6, 12), (12, 4), (10, 25)]
SHARES = [0.0, 0.001, 0.01, 0.05, 0.2, 0.5]


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def looks(n_c: int, n_p: int, p_c: float, p_p: float) -> Iterator[tuple[float, Arms]]:
    """Every look and its chance."""
    for (c, chance_c), (p, chance_p) in product(enumerate(binomial(n_c, p_c)), enumerate(binomial(n_p, p_p))):
        yield chance_c * chance_p, Arms(n_c, c, n_p, p)


def mean(found: Callable[[Arms], float], n_c: int, n_p: int, p_c: float, p_p: float) -> float:
    return math.fsum(chance * math.exp(found(arms)) for chance, arms in looks(n_c, n_p, p_c, p_p) if chance > 0)


@pytest.mark.parametrize("phi", [1.0, 3.0])
@pytest.mark.parametrize("limit", [1.0, 1.5])
def test_rate_ratio(limit: float, phi: float) -> None:
    means = [
        mean(lambda arms: rate_ratio(UNSTARTED, arms, planned=4, limit=limit, phi=phi).log_e, *sizes, factor * p, p)
        for sizes in SIZES
        for p in SHARES
        for factor in (0.0, 0.5, limit)
        if factor * p <= 1
    ]
    assert max(means) <= EXACT
    assert max(means) > 0.9999  # the bound is tight: rare events on the boundary


def test_rate_ratio_grows_for_a_worse_canary() -> None:
    assert mean(lambda arms: rate_ratio(UNSTARTED, arms, planned=4).log_e, 20, 40, 0.4, 0.02) > 10


@pytest.mark.parametrize("phi", [1.0, 1.2, 3.3, 12.0, 150.0])
def test_evidence_between_two_burst_factors(phi: float) -> None:
    """What is interpolated is a geometric mean of two e-values: Hölder says that it is none too large either."""

    def found(arms: Arms) -> float:
        return tempered.log_e(tempered.temper(tempered.FRESH, factors(arms), change_point(0, 4)), phi)

    means = [mean(found, *sizes, factor * p, p) for sizes in SIZES for p in SHARES for factor in (0.5, 1.0)]
    assert max(means) <= EXACT
    assert mean(found, 12, 24, 0.5, 0.01) > 1


@pytest.mark.parametrize("largest", [2, 3])
def test_clusters_of_a_size_at_most_are_valid_at_that_burst_factor(largest: int) -> None:
    """Single errors and whole clusters side by side, both as many as the requests, or fewer at the canary."""
    for single, cluster in product([0.0, 0.02, 0.2, 0.6], repeat=2):
        parts = [list(enumerate(binomial(n, p))) for n in (4, 7) for p in (single, cluster)]
        grown = []
        for (a, one), (b, two), (c, three), (d, four) in product(*parts):
            arms = Arms(4000, a + largest * b, 7000, c + largest * d)
            log_e = rate_ratio(UNSTARTED, arms, planned=4, phi=largest).log_e
            grown.append(one * two * three * four * math.exp(log_e))
        assert math.fsum(grown) <= EXACT


@pytest.mark.parametrize("shares", [(0.02, 0.02), (0.3, 0.01), (0.01, 0.3)])
def test_rate_ratio_is_an_e_process_whatever_came_before(shares: tuple[float, float]) -> None:
    """After each first look, the second one at another weight and share leaves the evidence where it is, at most."""
    for _, first in looks(6, 9, shares[0], shares[0]):
        state = rate_ratio(UNSTARTED, first, planned=3)

        def then(arms: Arms, state: Mixture = state) -> float:
            return rate_ratio(state, arms, planned=3).log_e - state.log_e

        assert mean(then, 8, 4, shares[1], shares[1]) <= EXACT


@pytest.mark.parametrize("phi", [1.0, 3.0])
@pytest.mark.parametrize(("limit", "margin"), [(1.0, 0.01), (1.0, 0.1), (1.3, 0.05)])
def test_proof_of_no_inferiority(limit: float, margin: float, phi: float) -> None:
    means = []
    for sizes, p, worse, past in product(SIZES, SHARES, (0.0, 0.02), (Past(), Past(1000, 50))):
        canary = limit * p + margin + worse
        if canary <= 1:
            start = Proof(past=past)
            means.append(
                mean(
                    lambda arms, start=start: prove(start, arms, margin=margin, limit=limit, phi=phi).log_e,  # type: ignore[misc]  # bound now
                    *sizes,
                    canary,
                    p,
                )
            )
    assert max(means) <= EXACT
    assert max(means) > 0.99


def test_proof_grows_for_a_sound_canary() -> None:
    assert mean(lambda arms: prove(Proof(), arms, margin=0.1).log_e, 40, 40, 0.0, 0.0) > 1.5


@pytest.mark.parametrize("phi", [1.0, 3.0])
@pytest.mark.parametrize(("limit", "margin"), [(1.0, 0.0), (1.0, 0.01), (1.2, 0.03)])
def test_strict_test_of_a_margin(limit: float, margin: float, phi: float) -> None:
    means = []
    for sizes, p, better, past in product(SIZES, SHARES, (0.0, 0.02), (Past(), Past(1000, 300))):
        canary = limit * p + margin - better
        if 0 <= canary <= 1:
            start = Exceeding(past=past)
            means.append(
                mean(
                    lambda arms, start=start: (
                        exceed(  # type: ignore[misc]  # bound now
                            start, arms, planned=4, margin=margin, limit=limit, phi=phi
                        ).log_e
                    ),
                    *sizes,
                    canary,
                    p,
                )
            )
    assert max(means) <= EXACT
    assert max(means) > 0.99


def test_strict_test_grows_for_a_worse_canary() -> None:
    start = Exceeding(past=Past(1000, 300))
    assert mean(lambda arms: exceed(start, arms, planned=4).log_e, 30, 40, 0.7, 0.3) > 3


@pytest.mark.parametrize("phi", [1.0, 3.0])
@pytest.mark.parametrize("allowed", [0.001, 0.05, 0.3, 0.8])
def test_objective_both_sides(allowed: float, phi: float) -> None:
    def expectation(log_e: Callable[[int], float], p: float) -> float:
        return math.fsum(chance * math.exp(log_e(bad)) for bad, chance in enumerate(binomial(25, p)))

    for share in (0.0, 0.5, 1.0):
        p = share * allowed
        found = expectation(lambda bad: overspend(UNSTARTED, 25, bad, allowed=allowed, planned=4, phi=phi).log_e, p)
        assert found <= EXACT
        q = min(allowed * (1 + share), 1.0)
        found = expectation(lambda bad: keep(UNSTARTED, 25, bad, allowed=allowed, phi=phi).log_e, q)
        assert found <= EXACT
    assert expectation(lambda bad: overspend(UNSTARTED, 25, bad, allowed=allowed, planned=4).log_e, 0.95) > 1.1


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.5, 0.9])
def test_traffic_check_within_its_tolerance(weight: float) -> None:
    total = 40
    for off in (0.75, 0.9, 1.0, 1.1, 1.25):
        share = min(weight * off, 1.0)
        for side in ("more", "less"):
            found = math.fsum(
                chance
                * math.exp(getattr(divide(Split(), Arms(n, 0, total - n, 0), weight=weight, planned=4), side).log_e)
                for n, chance in enumerate(binomial(total, share))
            )
            assert found <= EXACT
