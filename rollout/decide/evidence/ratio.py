"""Is the candidate worse by a factor?  The evidence of the gate `compare`, for events that are rare on the primary.

Null: p_canary <= limit * p_primary at every look; p_primary may move as it likes, so an incident that hits both arms
cancels.  Given the bad requests of both arms together, those of the canary are at most binomial with

    theta = limit n_c / (limit n_c + n_p),     D = 1 + theta (rho - 1)
    ln factor(rho) = (e_c ln rho - (e_c + e_p) ln D) / phi

For Bernoulli and Poisson alike  ln E[factor] <= (p/D) (limit n_c (rho - D) + n_p (1 - D)) = 0.  theta is taken anew at
each look, so evidence carries over changes of the weight.  A look without requests in one arm gives none.
"""

from __future__ import annotations

import math
from typing import Final

from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.mixture import Mixture, advance, change_point

RATIOS: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
"""How many times worse the alternatives are."""
RARE: Final = 0.05
"""Up to this share of bad requests on the primary the ratio is the sharper test, above it `inferiority.exceed`."""


def factors(arms: Arms, *, limit: float = 1.0, phi: float = 1.0) -> tuple[float, ...]:
    """ln of each alternative's factor at one look, divided by the burst factor `phi` >= 1."""
    theta = limit * arms.canary_total / (limit * arms.canary_total + arms.primary_total)
    return binomial_factors(arms.canary_bad, arms.canary_bad + arms.primary_bad, theta, RATIOS, phi)


def binomial_factors(
    hits: float, total: float, theta: float, ratios: tuple[float, ...], phi: float
) -> tuple[float, ...]:
    """ln factors for `hits` of `total`, whose share is theta at most (ratios > 1) or at least (ratios < 1)."""
    return tuple((hits * math.log(rho) - total * math.log1p(theta * (rho - 1))) / phi for rho in ratios)


def rate_ratio(before: Mixture, arms: Arms, *, planned: int, limit: float = 1.0, phi: float = 1.0) -> Mixture:
    """One look more of evidence that the canary's share exceeds `limit` times the primary's.

    `planned`: looks that the whole plan has; a change after so many is no longer bet on.
    """
    if not arms.comparable:
        return before
    return advance(before, factors(arms, limit=limit, phi=phi), change_point(before.looks, planned))
