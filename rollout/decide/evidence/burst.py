"""Errors come in bursts: one dead backend is a hundred errors, and evidence that counts each of them cries wolf.

If errors come in clusters of at most m, evidence divided by m is exactly valid.  How bursty a service is shows among
its primary's own pods: they run one version, so any more spread than chance allows is burstiness.  Of a look's e errors
a pod with a share s of the requests has s e, give or take, and independent errors would differ from that by
sum (e_pod - s e)^2 = e (1 - sum s^2) on average.  Hence the Fano factor, 1 for independent errors:

    phi = sum over looks of sum over pods of (e_pod - s e)^2  /  sum over looks of e (1 - sum over pods of s^2)

Sums are divided, not looks: it weighs a cluster by its size, as the evidence of a false alarm does.  (The mean of each
look's chi^2 / (pods - 1) weighs clusters of 5 and of 50 alike and comes to half of it; simulated with clusters of 5, it
rejects three to four times as many sound candidates as allowed.)  What hits all pods alike cancels.

Where nothing is known of the past, the candidate's bursts come before stable's have taught what a burst is.  So the
candidate is a second witness: under the null it is as stable is, and two looks at it that follow each other are two
samples of one version, as two pods are.  The same sums over such pairs are von Neumann's ratio of successive
differences (Annals of Mathematical Statistics 12, 1941); unlike a variance they mind neither a drift nor, but once, a
step.  A burst of c errors between calm looks comes to c.  A candidate that is broken from some look on adds one step:
after k looks of e errors it comes to e / (2 k - 1), so that k e errors weigh as much as k (2 k - 1) single ones, and
the second such look decides.  It is asked together with stable's pods, outweighed by what those have shown, and may
raise phi, never lower it: what holds without it holds with it.

A burst that lasts longer than a look is several small ones to the sums.  So the past is summed up by the minute, which
costs nothing there; in the run itself it would cost minutes until a bad candidate is found.

phi is better known the longer one looks, so evidence is kept undivided as far as it goes (`tempered`), and all of it is
divided by what is known now.  That is valid whenever phi is as large as the true one, whichever looks it was drawn
from: more dividing only makes evidence weaker.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rollout.errors import InvalidInput

WINDOW: Final = 1800.0
"""Seconds that are looked back."""
MINUTE: Final = 60.0
"""Seconds of the past that are summed up as one look."""
BLOCK: Final = 300.0
"""Seconds whose looks are kept as one sum, so that the memory stays small."""
BOUNDS: Final = (1.0, 200.0)
"""The least and the largest phi."""
UNKNOWN: Final = 3.0
"""What is assumed as long as nothing is known."""
WEIGHT: Final = 1.0
"""So many errors is the assumption worth."""
FEW: Final = 5.0
"""Looks with so few errors hold about one burst each."""
LOOKS: Final = 2.0
"""So many looks, where they hold more, is the assumption worth besides."""
CAUTION: Final = 1.5
"""Standard deviations that the estimate is raised by.

Simulated (`bench.judgement`): with none and without history, one sound candidate of fifteen is rejected in bursts of 5.
"""

Own = tuple[float, float]
"""Of the candidate's looks: squares of the differences between successive ones, and what chance would make of them."""


@dataclass(frozen=True, slots=True)
class Block:
    """Sums over the looks that began in one stretch of time."""

    number: int
    """Seconds since the epoch, in whole blocks."""
    squares: float = 0.0
    """What was seen: squares of the differences between pods."""
    chance: float = 0.0
    """What independent errors would come to."""
    crowd: float = 0.0
    """Squares of what they would come to in each look. Records from before it was kept have none."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """What was seen among the primary's pods, oldest first."""

    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Factor:
    """phi, and whether it is mostly assumed: one pod, or hardly an error yet. Say so when it is."""

    phi: float
    assumed: bool


def watch(before: Bursts, pods: Iterable[tuple[float, float]], at: float) -> Bursts:
    """With one look's (requests, bad requests) of each of the primary's pods; `at` in seconds, never going back."""
    squares, chance = spread(pods)
    number = int(at // BLOCK)
    blocks = [block for block in before.blocks if block.number > number - WINDOW / BLOCK]
    last = blocks.pop() if blocks and blocks[-1].number >= number else Block(number)
    blocks.append(Block(last.number, last.squares + squares, last.chance + chance, last.crowd + chance**2))
    return Bursts(tuple(blocks))


Track = Sequence[tuple[float, float, float]]
"""One pod's counters over time: seconds, requests, bad requests; cumulative, oldest first."""


def replay(tracks: Mapping[str, Track]) -> Bursts:
    """What stable's pods did before the run, by the minute.  Counters that fell were reset: that is left out."""
    minutes: dict[float, dict[str, tuple[float, float]]] = {}
    for pod, track in sorted(tracks.items()):
        for (_, total, bad), (at, later, worse) in pairwise(track):
            if 0 <= worse - bad <= later - total:
                pods = minutes.setdefault(at // MINUTE * MINUTE, {})
                requests, failed = pods.get(pod, (0.0, 0.0))
                pods[pod] = (requests + later - total, failed + worse - bad)
    bursts = Bursts()
    for at in sorted(minutes):
        bursts = watch(bursts, minutes[at].values(), at)
    return bursts


def follow(before: Own, last: tuple[float, float], now: tuple[float, float]) -> Own:
    """With one look more at the candidate: (requests, bad requests) of the look before it, and its own."""
    squares, chance = spread((last, now))
    return before[0] + squares, before[1] + chance


def spread(pods: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """One look's squares and what chance makes of them; nothing of a look without errors or with one pod."""
    busy = [(total, bad) for total, bad in pods if total > 0]
    requests, errors = math.fsum(total for total, _ in busy), math.fsum(bad for _, bad in busy)
    if errors <= 0 or len(busy) < 2:
        return 0.0, 0.0
    squares = math.fsum((bad - errors * total / requests) ** 2 for total, bad in busy)
    return squares, errors * (1 - math.fsum((total / requests) ** 2 for total, _ in busy))


def factor(bursts: Bursts, own: Own = (0.0, 0.0)) -> Factor:
    """The burst factor of all that is remembered, too large rather than too small; `own`: of the candidate's looks.

    What was seen is mixed with what is assumed, which weighs as much as one error, and raised by its own uncertainty:
    c errors in bursts of phi are c / phi bursts, so phi is known to a part sqrt((phi - 1) / c) of it.  Rounded up so,
    the first few bursts, which may be small by chance, do not promise that all of them are.

    That holds while a look has few errors.  A look compares pods once, however many bursts it holds: n looks of many
    bursts know phi to a part sqrt(2 / n) (the spread of a chi^2), three busy minutes hardly at all.  So for them what
    is assumed weighs as much as some looks, and what is above 1 is raised by that part as well; n is what equal looks
    would be, (sum c)^2 / sum c^2.  Simulated with three minutes of bursts of 5 (two pods, one error a second), phi is
    below 1.1 in one case of twenty without this, and below 2.8 with it.

    With the candidate's own looks it is not raised once more: they are there to be believed against it.
    """
    seen, squares, crowd = (
        math.fsum(getattr(block, part) for block in bursts.blocks) for part in ("chance", "squares", "crowd")
    )
    many = max(crowd / seen - FEW, 0.0) if seen else 0.0
    weight = WEIGHT + LOOKS * many
    mean = _mean(squares, seen, weight)
    unsure = math.sqrt((mean - 1) * seen) / (seen + weight)
    if many:
        unsure = math.hypot(unsure, math.sqrt(2 * many / seen * (mean - 1) / mean))
    raised = mean * (1 + CAUTION * unsure)
    both = _mean(squares + own[0], seen + own[1], WEIGHT)
    return Factor(clamp(max(raised, both)), assumed=seen < WEIGHT and both <= raised)


def _mean(squares: float, seen: float, weight: float) -> float:
    """What was seen, mixed with what is assumed."""
    return max((squares + weight * UNKNOWN) / (seen + weight), 1.0)


def clamp(phi: float) -> float:
    """A burst factor within its bounds."""
    return min(max(phi, BOUNDS[0]), BOUNDS[1])


def lossy(phi: float, *, window: float, scrape: float) -> float:
    """The burst factor for counts from `increase()` over `window` seconds, scraped every `scrape` seconds.

    Windows side by side never see scrape/window of the events and weigh the others more.  Raises InvalidInput when a
    window holds no two scrapes.
    """
    if window <= scrape:
        raise InvalidInput(
            f"a window of {window:g} s sees no increase at a scrape interval of {scrape:g} s",
            hint="make it four scrape intervals long",
        )
    return phi * window / (window - scrape)
