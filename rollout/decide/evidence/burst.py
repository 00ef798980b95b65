"""Errors come in bursts: one dead backend is a hundred errors, and evidence that counts each of them cries wolf.

If errors come in clusters of at most m, evidence divided by m is exactly valid.  How bursty a service is shows among
its primary's own pods: they run one version, so any more spread than chance allows is burstiness.  Of a look's e errors
a pod with a share s of the requests has s e, give or take, and independent errors would differ from that by
sum (e_pod - s e)^2 = e (1 - sum s^2) on average.  Hence the Fano factor, 1 for independent errors:

    phi = sum over looks of sum over pods of (e_pod - s e)^2  /  sum over looks of e (1 - sum over pods of s^2)

Sums are divided, not looks: it weighs a cluster by its size, as the evidence of a false alarm does.  (The mean of each
look's chi^2 / (pods - 1) weighs clusters of 5 and of 50 alike and comes to half of it; simulated with clusters of 5, it
rejects three to four times as many sound candidates as allowed.)  What hits all pods alike cancels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rollout.errors import InvalidInput

WINDOW: Final = 1800.0
"""Seconds that are looked back."""
BLOCK: Final = 300.0
"""Seconds whose looks are kept as one sum, so that the memory stays small."""
BOUNDS: Final = (1.0, 200.0)
"""The least and the largest phi."""
UNKNOWN: Final = 2.0
"""What is assumed as long as nothing is known."""


@dataclass(frozen=True, slots=True)
class Block:
    """Sums over the looks that began in one stretch of time."""

    number: int
    """Seconds since the epoch, in whole blocks."""
    squares: float = 0.0
    """What was seen: squares of the differences between pods."""
    chance: float = 0.0
    """What independent errors would come to."""


@dataclass(frozen=True, slots=True)
class Bursts:
    """What was seen among the primary's pods, oldest first."""

    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Factor:
    """phi, and whether it had to be assumed: one pod, or no errors yet. Say so when it was."""

    phi: float
    assumed: bool


def watch(before: Bursts, pods: Iterable[tuple[float, float]], at: float) -> Bursts:
    """With one look's (requests, bad requests) of each of the primary's pods; `at` in seconds, never going back."""
    squares, chance = spread(pods)
    number = int(at // BLOCK)
    blocks = [block for block in before.blocks if block.number > number - WINDOW / BLOCK]
    last = blocks.pop() if blocks and blocks[-1].number >= number else Block(number)
    blocks.append(Block(last.number, last.squares + squares, last.chance + chance))
    return Bursts(tuple(blocks))


def spread(pods: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """One look's squares and what chance makes of them; nothing of a look without errors or with one pod."""
    busy = [(total, bad) for total, bad in pods if total > 0]
    requests, errors = math.fsum(total for total, _ in busy), math.fsum(bad for _, bad in busy)
    if errors <= 0 or len(busy) < 2:
        return 0.0, 0.0
    squares = math.fsum((bad - errors * total / requests) ** 2 for total, bad in busy)
    return squares, errors * (1 - math.fsum((total / requests) ** 2 for total, _ in busy))


def factor(bursts: Bursts) -> Factor:
    """The burst factor of all that is remembered.

    Ask before adding the look it is used for: what divides a look's evidence must not depend on that look.
    """
    chance = math.fsum(block.chance for block in bursts.blocks)
    if chance <= 0:
        return Factor(UNKNOWN, assumed=True)
    return Factor(clamp(math.fsum(block.squares for block in bursts.blocks) / chance), assumed=False)


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
