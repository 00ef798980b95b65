"""A fixed threshold on a one-minute share, as peers judge: for comparison, on the same traffic.

Flagger's rule (v1.44): each minute the canary alone is asked for its share of bad requests.  Above the maximum, or
without a request, the check has failed: the weight is held, and failed checks are never forgotten.  At `failures` of
them everything is rolled back; a p99 above its bound is the same check with a maximum of 1 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.decide.evidence.power import Schedule
from rollout.decide.evidence.sampling import Table, Uniform, poisson, table
from rollout.decide.evidence.traffic import Traffic
from rollout.decide.evidence.trials import Outcome

MINUTE: Final = 60.0


class FixedThreshold:
    """The rule, for checks that a schedule is tried with. What is served is counted for the first of them."""

    def __init__(
        self, schedule: Schedule, checks: Sequence[Traffic], uniform: Uniform, *, failures: int, maximum: float = 0.01
    ) -> None:
        self._weights = [stage.weight for stage in schedule.stages for _ in range(round(stage.seconds / MINUTE))]
        self._checks, self._uniform = checks, uniform
        self._failures, self._maximum = failures, maximum
        self._tables: dict[tuple[float, float, float], tuple[Table, Table]] = {}

    def trials(self, runs: int) -> list[Outcome]:
        """Try it so many times."""
        return [self._once() for _ in range(runs)]

    def _once(self) -> Outcome:
        passed = failed = served = minutes = 0
        while passed < len(self._weights):
            counts = [self._minute(check, self._weights[passed], minutes) for check in self._checks]
            served += counts[0][0]
            minutes += 1
            if all(good + bad and bad / (good + bad) <= self._maximum for bad, good in counts):
                passed += 1
                continue
            failed += 1
            if failed >= self._failures:
                return Outcome(minutes * MINUTE, None, served)
        return Outcome(None, None, served)

    def _minute(self, check: Traffic, weight: float, minutes: int) -> tuple[int, int]:
        """Bad and good requests of the canary.

        Their number is left to chance, unlike in `Stories`: at 600 requests each time, six bad ones would always pass
        at 1 %, and the rule would look better than it is.
        """
        requests, share = check.rate * MINUTE * weight, check.shares((minutes + 0.5) * MINUTE)[0]
        key = (requests, share, check.burst)
        if key not in self._tables:
            bad = poisson(requests * share) if check.burst <= 1 else table(round(requests), share, check.burst)
            self._tables[key] = bad, poisson(requests * (1 - share))
        bad, good = self._tables[key]
        return bad.draw(self._uniform), good.draw(self._uniform)
