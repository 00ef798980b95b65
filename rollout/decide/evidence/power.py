"""What a schedule of weights would catch, by formula: fast enough for lint; `trials` says it exactly.

At each look the evidence for the true alternative rho = (p0 + d) / p0 grows on average by

    I = (n_c (p0 + d) (ln rho - ln D) - n_p p0 ln D) / phi,          D = 1 + w (rho - 1)
    V = (n_c (p0 + d) (ln rho - ln D)^2 + n_p p0 ln^2 D) / phi       its variance

and it must reach c = ln(gates/alpha) + ln(K/2) + ln 2: the limit, and the price of not knowing which of K alternatives
is true and when it began.  Detection comes about when the sum of I reaches c, with probability Phi((I - c) / sqrt V).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from rollout.decide.evidence.effect import least_effect, log_limit
from rollout.decide.evidence.ratio import RATIOS


@dataclass(frozen=True, slots=True)
class Stage:
    """One weight, between 0 and 1, and for how many seconds."""

    weight: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """The weights of a plan, looked at every so many seconds."""

    stages: tuple[Stage, ...]
    every: float = 15.0

    def looks(self) -> Iterator[tuple[float, float]]:
        """Each look's end, in seconds from the first traffic, and its weight."""
        began = 0.0
        for stage in self.stages:
            for number in range(1, round(stage.seconds / self.every) + 1):
                yield began + number * self.every, stage.weight
            began += stage.seconds


@dataclass(frozen=True, slots=True)
class Rule:
    """What a `compare` gate is asked to keep."""

    tolerance: float = 0.01
    """How much larger the canary's share of bad requests may be; 0.01 is one percentage point."""
    alpha: float = 0.02
    """Probability that a whole plan rejects a sound candidate."""
    gates: int = 2
    """Gates that share it."""
    beta: float = 0.05
    """Probability that a candidate that is worse by the tolerance is called proved."""

    @property
    def log_limit(self) -> float:
        """ln E that fails a candidate."""
        return log_limit(self.alpha, self.gates)

    @property
    def least(self) -> float:
        """The effect that fails a candidate."""
        return least_effect(self.tolerance)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the formula says."""

    seconds: float | None
    """When a regression is found, about; None if not within the schedule."""
    probability: float
    """That it is found within the schedule."""


def forecast(
    schedule: Schedule, rule: Rule, *, rate: float, base: float, regression: float, phi: float = 1.0
) -> Forecast:
    """For a candidate whose share of bad requests is `base` + `regression`, at `rate` requests/s to both arms."""
    needed = _needed(rule)
    looks = [(at, *_growth(rate * schedule.every, w, base, regression, phi)) for at, w in schedule.looks()]
    grown = list(accumulate(mean for _, mean, _ in looks))
    variance = sum(v for _, _, v in looks)
    reached = next((at for (at, _, _), sum_ in zip(looks, grown, strict=True) if sum_ >= needed), None)
    if variance <= 0:
        return Forecast(reached, 0.0)
    return Forecast(reached, NormalDist().cdf((grown[-1] - needed) / math.sqrt(variance)))


def requests_to_detect(rule: Rule, *, weight: float, base: float, regression: float, phi: float = 1.0) -> float:
    """Requests to the canary until a regression is found, on average."""
    mean, _ = _growth(1 / weight, weight, base, regression, phi)
    return _needed(rule) / mean


def requests_to_prove(rule: Rule, *, phi: float = 1.0) -> float:
    """Requests to the canary until a sound one is proved less than the tolerance worse, about."""
    return phi * (1 - math.log(rule.beta)) / rule.tolerance


def _needed(rule: Rule) -> float:
    return rule.log_limit + math.log(len(RATIOS) / 2) + math.log(2)


def _growth(requests: float, weight: float, base: float, regression: float, phi: float) -> tuple[float, float]:
    """Mean and variance of what the evidence grows by over `requests` to both arms."""
    rho = (base + regression) / base
    canary, primary = requests * weight * (base + regression), requests * (1 - weight) * base
    log_d = math.log1p(weight * (rho - 1))
    gain = math.log(rho) - log_d
    return (canary * gain - primary * log_d) / phi, (canary * gain**2 + primary * log_d**2) / phi
