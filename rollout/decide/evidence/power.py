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
from statistics import NormalDist
from typing import Final

from rollout.decide.evidence.effect import least_effect, log_limit
from rollout.decide.evidence.ratio import RATIOS

LEAST: Final = 1e-6
"""A service that has never failed is taken to fail so rarely."""


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
class Sensitivity:
    """How much the evidence for a regression of a given size would have grown, had there been one."""

    mean: float = 0.0
    variance: float = 0.0

    def power(self, rule: Rule, phi: float = 1.0) -> float:
        """The probability that it would have been found by now; `phi`: a burst factor that is not yet in the growth."""
        if self.variance <= 0:
            return 0.0
        return NormalDist().cdf((self.mean / phi - needed(rule)) / math.sqrt(self.variance / phi))


def sense(
    before: Sensitivity,
    canary_total: float,
    primary_total: float,
    *,
    base: float,
    regression: float,
    phi: float = 1.0,
) -> Sensitivity:
    """With one look more, of so many requests; `base`: the primary's share of bad ones."""
    if canary_total <= 0 or primary_total <= 0:
        return before
    mean, variance = _growth(canary_total, primary_total, base, regression)
    return Sensitivity(before.mean + mean / phi, before.variance + variance / phi)


def needed(rule: Rule) -> float:
    """What the evidence must grow by: the limit, and the price of the mixture."""
    return rule.log_limit + math.log(len(RATIOS) / 2) + math.log(2)


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
    seen, reached = Sensitivity(), None
    for at, weight in schedule.looks():
        requests = rate * schedule.every
        seen = sense(seen, requests * weight, requests * (1 - weight), base=base, regression=regression, phi=phi)
        if reached is None and seen.mean >= needed(rule):
            reached = at
    return Forecast(reached, seen.power(rule))


def requests_to_detect(
    rule: Rule, *, weight: float, base: float, regression: float, phi: float = 1.0, seen: float = 0.0
) -> float:
    """Requests to the canary until a regression is found, on average; `seen`: what the evidence has grown by."""
    mean, _ = _growth(1.0, (1 - weight) / weight, base, regression)
    return max(0.0, needed(rule) - seen) * phi / mean


def requests_to_prove(rule: Rule, *, phi: float = 1.0) -> float:
    """Requests to the canary until a sound one is proved less than the tolerance worse, about."""
    return phi * (1 - math.log(rule.beta)) / rule.tolerance


def _growth(canary: float, primary: float, base: float, regression: float) -> tuple[float, float]:
    """I and V of so many requests, at phi = 1."""
    base = max(base, LEAST)
    rho = (base + regression) / base
    log_d = math.log1p(canary / (canary + primary) * (rho - 1))
    gain, bad = math.log(rho) - log_d, canary * (base + regression)
    return bad * gain - primary * base * log_d, bad * gain**2 + primary * base * log_d**2
