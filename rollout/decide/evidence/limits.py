"""A fixed limit, as the gate `threshold` judges a built-in metric: tried on imagined traffic.

Each look that has seen enough requests passes or fails by their share alone; so many failed ones of the last few end
the run.  Nothing is carried over and nobody is compared with: worth knowing is what it does to a sound candidate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rollout.decide.evidence.power import Schedule
from rollout.decide.evidence.sampling import Tables, Uniform
from rollout.decide.evidence.traffic import Traffic, expected
from rollout.decide.evidence.trials import Outcome


@dataclass(frozen=True, slots=True)
class Limit:
    """The rule."""

    maximum: float
    """The largest share of bad requests that passes."""
    min_requests: int
    failures: int
    over: int


def limited(schedule: Schedule, traffic: Traffic, limit: Limit, uniform: Uniform, runs: int) -> list[Outcome]:
    """Try it so many times."""
    tables, middle = Tables(), schedule.every / 2
    looks = [
        (look.at, look.canary, tables.of(look.canary, traffic.shares(look.at - middle)[0], traffic.burst))
        for look in expected(schedule, traffic.rate)
    ]

    def once() -> Outcome:
        failed: list[bool] = []
        total = bad = served = 0
        for at, requests, table in looks:
            fresh = table.draw(uniform)
            total, bad, served = total + requests, bad + fresh, served + fresh
            if total < max(limit.min_requests, 1):
                continue
            failed = [*failed, bad > math.floor(limit.maximum * total + 1e-9)][-limit.over :]
            total = bad = 0
            if sum(failed) >= limit.failures:
                return Outcome(at, None, served)
        return Outcome(None, None, served)

    return [once() for _ in range(runs)]
