"""A schedule tried a thousand times: what is caught, when, and how often a sound candidate is rejected.

The same rule as `ratio` or `inferiority.exceed`, `inferiority.prove` and `effect` together, look by look, by way of
`quick`: thousands of trials must fit into a second.  A test holds the two ways against each other, story by story.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rollout.decide.evidence import tempered
from rollout.decide.evidence.effect import LOOKS, RECENT
from rollout.decide.evidence.inferiority import Past
from rollout.decide.evidence.intervals import clopper_pearson
from rollout.decide.evidence.mixture import change_point
from rollout.decide.evidence.power import Rule, Schedule
from rollout.decide.evidence.quick import WORTH, Bets, MarginBets, ProofBet, RatioBets
from rollout.decide.evidence.ratio import RARE
from rollout.decide.evidence.sampling import Uniform
from rollout.decide.evidence.traffic import Counted, Stories, Traffic, expected

RUNS: Final = 4000
"""Trials of a preview: its probabilities are within 1.6 points of the truth, 95 times of 100."""


_NOTHING: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one trial ended. Times in seconds from the first traffic."""

    failed: float | None
    """When the candidate was rejected."""
    proved: float | None
    """When it was proved less than the tolerance worse; None also if it was rejected before."""
    served: int
    """Bad requests that the canary answered until then."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One look of a schedule, with what is the same in all trials."""

    at: float
    canary: int
    primary: int
    so_far: tuple[int, int]
    """Requests of both arms until its end."""
    recent: int
    """Index of the first look of the last minute."""
    stake: float
    kept: float
    """What has not been bet yet."""
    bets: Bets
    proof: ProofBet


class Judge:
    """The rule of the gate `compare` for one schedule and rate.

    `past`: what history says of the service; it decides which test is used, once and for all.  `phi`: a burst factor
    that all stories have; else each look of them says its own.
    """

    def __init__(self, schedule: Schedule, rate: float, rule: Rule, past: Past, phi: float | None = None) -> None:
        self._rule, self._limit = rule, rule.log_limit
        self._first, self._phis = 0, tempered.FACTORS
        if phi is not None:
            self._first, part = tempered.between(phi)
            self._phis = tempered.FACTORS[self._first : self._first + (1 if part == 1 else 2)]
        usable = expected(schedule, rate)
        planned = sum(1 for _ in schedule.looks())
        self._looks: list[_Look] = []
        spent, canary, primary = 0.0, 0, 0
        for number, look in enumerate(usable):
            stake = min(change_point(number, planned), 1 - spent)
            spent += stake
            bets = (
                RatioBets(look, self._phis)
                if past.share <= RARE
                else MarginBets(look, past.after(primary, 0), self._phis)
            )
            proof = ProofBet(look, past.after(canary + primary, 0), rule.tolerance)
            canary, primary = canary + look.canary, primary + look.primary
            recent = next(i for i, other in enumerate(usable) if look.at - RECENT < other.at)
            self._looks.append(
                _Look(
                    look.at,
                    look.canary,
                    look.primary,
                    (canary, primary),
                    recent,
                    stake,
                    max(1 - spent, 0.0),
                    bets,
                    proof,
                )
            )

    def judge(self, story: Iterable[Counted]) -> Outcome:
        """How a story ends."""
        least, enough, proof = self._rule.least, math.exp(self._limit), -math.log(self._rule.beta)
        worth = [0.0] * (self._looks[0].bets.count if self._looks else 0)
        seen: list[tuple[int, int]] = [(0, 0)]  # bad requests of both arms before each look
        exceeded, log_proof, proved = 0, 0.0, None
        for look, bad in zip(self._looks, story, strict=False):
            canary, primary = seen[-1]
            seen.append((canary + bad.canary, primary + bad.primary))
            factors, stake = look.bets.factors(bad, primary), look.stake
            worth = [(one + stake) * factor for one, factor in zip(worth, factors, strict=True)]
            top = max(worth)
            if top > WORTH:
                worth = [min(one, WORTH) for one in worth]
            exceeded += bad.canary > 0 and bad.canary / look.canary - bad.primary / look.primary >= least
            # a mean reaches nothing that the largest does not: seldom is there more to look at
            if exceeded >= LOOKS and top + 1 >= enough and self._rejects(worth, look, seen, bad.phi):
                return Outcome(look.at, proved, seen[-1][0])
            if proved is None:
                log_proof += look.proof.gain(bad, canary + primary)
                proved = look.at if log_proof >= proof * bad.phi else None
        return Outcome(None, proved, seen[-1][0])

    def _rejects(self, worth: Sequence[float], look: _Look, seen: Sequence[tuple[int, int]], phi: float) -> bool:
        return self._log_e(worth, look, phi) >= self._limit and self._matters(look, seen)

    def _log_e(self, worth: Sequence[float], look: _Look, phi: float) -> float:
        """As `tempered.log_e`."""
        place, part = tempered.between(phi)
        size, start = len(worth) // len(self._phis), place - self._first
        low, *high = (
            math.log(sum(worth[i * size : (i + 1) * size]) / size + look.kept or _NOTHING)
            for i in ((start,) if part == 1 else (start, start + 1))
        )
        return part * low + (1 - part) * high[0] if high else low

    def _matters(self, look: _Look, seen: Sequence[tuple[int, int]]) -> bool:
        """Is the difference large enough, in total or over the last minute?"""
        total, before = seen[-1], seen[look.recent]
        first = self._looks[look.recent]
        lately = look.so_far[0] - first.so_far[0] + first.canary, look.so_far[1] - first.so_far[1] + first.primary
        return any(
            bad[0] / requests[0] - bad[1] / requests[1] >= self._rule.least
            for bad, requests in (
                (total, look.so_far),
                ((total[0] - before[0], total[1] - before[1]), lately),
            )
        )


def trials(
    schedule: Schedule, traffic: Traffic, rule: Rule, uniform: Uniform, runs: int, *, phi: float | None = None
) -> list[Outcome]:
    """Try a schedule so many times.  `phi`: a known burst factor; else it is estimated from the primary's pods."""
    stories, judge = Stories(schedule, traffic, uniform), Judge(schedule, traffic.rate, rule, traffic.known(), phi)
    return [judge.judge(stories.tell(phi)) for _ in range(runs)]


@dataclass(frozen=True, slots=True)
class Preview:
    """What trials say about a schedule: for a regression what is caught, for a sound candidate what is lost."""

    runs: int
    failed: int
    """Trials that rejected the candidate."""
    median: float | None
    """Seconds until half of those were rejected."""
    late: float | None
    """Seconds until 95 % of them were."""
    proved: int
    """Trials that proved it less than the tolerance worse."""
    proved_median: float | None
    served: float
    """Bad requests that the canary answered, on average."""

    @property
    def share(self) -> float:
        """Of the trials that rejected the candidate."""
        return self.failed / self.runs

    @property
    def interval(self) -> tuple[float, float]:
        """Where that share is in truth, 95 times of 100."""
        return clopper_pearson(self.failed, self.runs)


def preview(outcomes: Sequence[Outcome]) -> Preview:
    """Sum up trials."""
    failed = sorted(one.failed for one in outcomes if one.failed is not None)
    proved = sorted(one.proved for one in outcomes if one.proved is not None)
    return Preview(
        runs=len(outcomes),
        failed=len(failed),
        median=_quantile(failed, 0.5),
        late=_quantile(failed, 0.95),
        proved=len(proved),
        proved_median=_quantile(proved, 0.5),
        served=sum(one.served for one in outcomes) / len(outcomes),
    )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
