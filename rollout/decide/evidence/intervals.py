"""Confidence intervals of a share at one fixed look.  For display: they do not allow for looking again and again."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist


def clopper_pearson(bad: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of bad/total: quantiles of Beta distributions.  (0, 1) of nothing."""
    tail = (1 - confidence) / 2
    lower = beta_quantile(tail, bad, total - bad + 1) if bad > 0 else 0.0
    upper = beta_quantile(1 - tail, bad + 1, total - bad) if bad < total else 1.0
    return lower, upper


def wilson(bad: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's approximate two-sided interval of bad/total.  (0, 1) of nothing."""
    if total <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, shift = bad / total, z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (share + shift - half) / scale), min(1.0, (share + shift + half) / scale)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The value that a Beta(a, b) variable stays below with this probability, by bisection."""
    return _bisect(lambda x: beta_cdf(x, a, b) >= probability)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast
        return math.exp(front) * _fraction(x, a, b) / a
    return 1 - math.exp(front) * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) after Lentz (Numerical Recipes 6.4)."""
    tiny, last = 1e-300, 1e-15
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    value = d
    # about the square root of the larger parameter is needed
    for m in range(1, 100 + 20 * math.isqrt(int(max(a, b)) + 1)):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d, tiny)
            c = _away_from_zero(1 + term / c, tiny)
            change = c * d
            value *= change
        if abs(change - 1) < last:
            break
    return value


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def _bisect(reached: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        if reached(middle):
            high = middle
        else:
            low = middle
