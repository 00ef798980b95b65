"""Latency by the buckets of a histogram: the share of requests slower than an edge is a count like any other.

A quantile from buckets is an interpolation; of 60 requests, one slow one decides a p99.  The share above an edge is
exact.  Without a bound, several edges are watched, and the *mean* of their evidence is evidence again, however they
depend on each other: a sequential test of stochastic order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.mixture import UNSTARTED, Mixture, log_mean
from rollout.decide.evidence.ratio import rate_ratio

TELLING: Final = (0.005, 0.30)
"""Edges tell most where a share between these of the primary's requests is slower."""
TYPICAL: Final = 0.01
"""The share at the one edge that is watched when one is enough."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """One arm's requests of one look: how many were at most as slow as each edge (cumulative), and how many in all."""

    total: float
    within: Mapping[float, float]

    def slower(self, edge: float) -> float:
        """Requests slower than an edge of the histogram."""
        return min(max(self.total - self.within[edge], 0.0), self.total)


def at_edge(canary: Buckets, primary: Buckets, edge: float) -> Arms:
    """The counts of one look, bad being slower than `edge`; nothing where an arm has no such edge."""
    if edge not in canary.within or edge not in primary.within:
        return Arms()
    return Arms(canary.total, canary.slower(edge), primary.total, primary.slower(edge))


def edge_for(primary: Buckets, target: float) -> tuple[float, bool] | None:
    """The edge that stands for a bound: the next one at or above, and whether it is the bound itself.

    None when the histogram ends below.  When it is not the bound itself, the user is told which edge is judged.
    """
    above = [edge for edge in primary.within if target <= edge < math.inf]
    return (min(above), min(above) == target) if above else None


def typical_edge(primary: Buckets) -> float | None:
    """The edge that one in a hundred of the primary's requests is slower than, as nearly as possible."""
    shares = _shares(primary)
    return min(shares, key=lambda edge: (abs(math.log(shares[edge] / TYPICAL)), edge)) if shares else None


def usual_edge(primary: Buckets) -> float | None:
    """The edge to watch when no bound is given and one is enough; from history.

    Where some requests are slow it is the typical one.  Where none is, the second edge that no request is slower than:
    the first may be just above what is usual, and a little more is no regression.
    """
    seldom = {edge for edge in primary.within if edge < math.inf and primary.slower(edge) <= TELLING[1] * primary.total}
    some = {edge: primary.within[edge] for edge in seldom if primary.slower(edge) > 0}
    if some:
        return typical_edge(Buckets(primary.total, some))
    free = sorted(seldom)[:2]
    return free[-1] if free else max((edge for edge in primary.within if edge < math.inf), default=None)


def telling_edges(primary: Buckets) -> tuple[float, ...]:
    """The edges to watch when no bound is given, lowest first.  From history: never from the looks they will judge."""
    shares = _shares(primary)
    return tuple(sorted(edge for edge, share in shares.items() if TELLING[0] <= share <= TELLING[1]))


def _shares(buckets: Buckets) -> dict[float, float]:
    """The share of slower requests, for the edges that some were slower than."""
    return {
        edge: buckets.slower(edge) / buckets.total
        for edge in buckets.within
        if edge < math.inf and buckets.slower(edge) > 0
    }


@dataclass(frozen=True, slots=True)
class Edges:
    """Evidence at several edges."""

    edges: tuple[float, ...]
    mixtures: tuple[Mixture, ...] = ()

    @property
    def log_e(self) -> float:
        """ln of the mean of their E."""
        return log_mean([mixture.log_e for mixture in self.mixtures]) if self.mixtures else 0.0


def slowdown(
    before: Edges, canary: Buckets, primary: Buckets, *, planned: int, limit: float = 1.0, phi: float = 1.0
) -> Edges:
    """One look more of evidence that the canary is slower, at whatever edge."""
    mixtures = before.mixtures or (UNSTARTED,) * len(before.edges)
    after = (
        rate_ratio(mixture, at_edge(canary, primary, edge), planned=planned, limit=limit, phi=phi)
        for edge, mixture in zip(before.edges, mixtures, strict=True)
    )
    return Edges(before.edges, tuple(after))


@dataclass(frozen=True, slots=True)
class Superiority:
    """How often a canary's request is slower than a primary's.  An effect size to report, not a sequential test."""

    probability: float
    """P(slower) + P(as slow) / 2; 0.5 when nothing differs."""
    z: float
    """In standard deviations from 0.5, ties allowed for (Mann-Whitney)."""


def superiority(canary: Buckets, primary: Buckets) -> Superiority | None:
    """Mann and Whitney's statistic of two histograms with the edges that both have; None without requests."""
    n, m = canary.total, primary.total
    if n <= 0 or m <= 0:
        return None
    edges = sorted(canary.within.keys() & primary.within.keys() - {math.inf})
    ours, theirs = _parts(canary, edges), _parts(primary, edges)
    below = wins = ties = 0.0
    for c, p in zip(ours, theirs, strict=True):
        wins += c * (below + p / 2)
        below += p
        ties += (c + p) ** 3 - (c + p)
    both = n + m
    variance = n * m / 12 * (both + 1 - ties / (both * (both - 1))) if both > 1 else 0.0
    return Superiority(wins / (n * m), (wins - n * m / 2) / math.sqrt(variance) if variance > 0 else 0.0)


def _parts(buckets: Buckets, edges: list[float]) -> list[float]:
    """Requests in each bucket, not cumulative; the last one has no upper edge."""
    cumulative = [*(buckets.within[edge] for edge in edges), buckets.total]
    return [high - low for low, high in zip([0.0, *cumulative], cumulative, strict=False)]
