"""Between what is stored of a gate's evidence and the mathematics that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from rollout.decide.evidence.burst import Block, Bursts, Factor, Own, factor, follow
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.effect import RECENT, Tally
from rollout.decide.evidence.inferiority import Past, history
from rollout.decide.evidence.mixture import Mixture
from rollout.decide.evidence.tempered import FACTORS, FRESH, Tempered
from rollout.plan.evidence import Bets, Counts, Evidence


def mixture(bets: Bets) -> Mixture:
    """The bets as a mixture."""
    return Mixture(bets.logs, bets.spent, bets.looks)


def bets(mixture: Mixture) -> Bets:
    """A mixture as it is stored."""
    return Bets(mixture.logs, mixture.spent, mixture.looks)


def tempered(bets: Bets) -> Tempered:
    """Bets that are kept for several burst factors, one after the other.  Other sets of them count for nothing."""
    size, rest = divmod(len(bets.logs), len(FACTORS))
    if not size or rest or bets.spent <= 0:
        return FRESH
    return tuple(Mixture(bets.logs[i * size : (i + 1) * size], bets.spent, bets.looks) for i in range(len(FACTORS)))


def stored(mixtures: Tempered) -> Bets:
    """The same as it is stored."""
    return Bets(tuple(log for one in mixtures for log in one.logs), mixtures[0].spent, mixtures[0].looks)


def phi(known: Evidence) -> Factor:
    """What evidence is divided by, after all looks so far."""
    return _factor(known.blocks, known.own)


@lru_cache(maxsize=64)  # a look asks several times
def _factor(blocks: tuple[tuple[float, ...], ...], own: Own) -> Factor:
    return factor(_bursts(blocks), own)


def own(known: Evidence, total: float, bad: float) -> Own:
    """How the candidate's looks differ, with one more of so many requests."""
    if not known.recent:
        return known.own
    _, last, worse, *_ = known.recent[-1]
    return follow(known.own, (last, worse), (total, bad))


def counts(arms: Arms) -> Counts:
    """Both arms as they are stored."""
    return arms.canary_total, arms.canary_bad, arms.primary_total, arms.primary_bad


def bursts(known: Evidence) -> Bursts:
    """How stable's pods differed."""
    return _bursts(known.blocks)


def _bursts(blocks: tuple[tuple[float, ...], ...]) -> Bursts:
    return Bursts(tuple(Block(int(number), *sums) for number, *sums in blocks))


def blocks(bursts: Bursts) -> tuple[tuple[float, ...], ...]:
    """The same as it is stored."""
    return tuple((float(block.number), block.squares, block.chance, block.crowd) for block in bursts.blocks)


def tallied(known: Evidence) -> Tally:
    """What was counted over all looks, and lately."""
    recent = tuple((at, Arms(*arms)) for at, *arms in known.recent)
    return Tally(Arms(*known.counts), recent, known.looks, known.exceeded)


def recent(known: Evidence, arms: Arms, now: float) -> tuple[tuple[float, float, float, float, float], ...]:
    """The looks of the last minute, with one more."""
    return (*(look for look in known.recent if now - RECENT < look[0]), (now, *counts(arms)))


def past(stored: tuple[float, float] | None) -> Past:
    """The base of a bet."""
    return Past(*stored) if stored is not None else Past()


def before_the_run(pods: Mapping[str, tuple[float, float]]) -> Past:
    """What stable's counters say of the time before the first look."""
    return history(sum(total for total, _ in pods.values()), sum(bad for _, bad in pods.values()))
