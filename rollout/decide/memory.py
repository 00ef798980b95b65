"""Between what is stored of a gate's evidence and the mathematics that it is made of."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.decide.evidence.burst import Block, Bursts
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.effect import RECENT, Tally
from rollout.decide.evidence.inferiority import Past, history
from rollout.decide.evidence.mixture import Mixture
from rollout.plan.evidence import Bets, Counts, Evidence


def mixture(bets: Bets) -> Mixture:
    """The bets as a mixture."""
    return Mixture(bets.logs, bets.spent, bets.looks)


def bets(mixture: Mixture) -> Bets:
    """A mixture as it is stored."""
    return Bets(mixture.logs, mixture.spent, mixture.looks)


def counts(arms: Arms) -> Counts:
    """Both arms as they are stored."""
    return arms.canary_total, arms.canary_bad, arms.primary_total, arms.primary_bad


def bursts(known: Evidence) -> Bursts:
    """How stable's pods differed."""
    return Bursts(tuple(Block(int(number), squares, chance) for number, squares, chance in known.blocks))


def blocks(bursts: Bursts) -> tuple[tuple[float, float, float], ...]:
    """The same as it is stored."""
    return tuple((float(block.number), block.squares, block.chance) for block in bursts.blocks)


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
