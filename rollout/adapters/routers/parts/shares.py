"""One list of destinations, read as shares: whose each is, how it is split, and how to write it split or whole.

Two ways of splitting have the same shape.  In a canary two destinations of ours take the place of the owner's; in a
traffic-only plan the owner runs both sides, and weight moves from one to the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from rollout.adapters.routers.parts.weights import WHOLE
from rollout.plan.base import Json


@dataclass(frozen=True, slots=True)
class Share:
    """One destination of the owner's.

    `foreign`: goes elsewhere.  `whole`: goes to the service, unsplit.  `split`: by us, both sides there.  `torn`: one
    side is missing.  Entries are without their weight.
    """

    state: Literal["foreign", "whole", "split", "torn"]
    weight: int
    entry: Json
    """As the owner writes it."""
    stable: Json = field(default_factory=dict)
    candidate: Json = field(default_factory=dict)
    part: int = 0
    """How much of the weight the candidate gets."""
    tail: str = ""
    """What stands for the owner's own choice in the names of ours, where a router has such."""
    kept: bool = False
    """The owner's own route names the candidate too (traffic-only plans)."""


class Split(Protocol):
    """One way of splitting, as one router writes it."""

    @property
    def bare(self) -> bool:
        """Whether a lone destination may be written without a weight."""
        ...

    def shares(self, entries: Sequence[Json], home: str) -> list[Share]:
        """Read a list of destinations; `home` is the namespace of their object."""
        ...

    def given(self, entries: Sequence[Json]) -> list[int]:
        """The weights of a list, in proportion."""
        ...

    def spread(self, numbers: Sequence[int]) -> Sequence[float]:
        """Weights in proportion to the numbers, as they are written."""
        ...

    def stands(self, shares: Sequence[Share]) -> Mapping[str, str]:
        """The owner's name behind each of ours that these shares need, where ours do not tell."""
        ...


def divide(shares: Sequence[Share], candidate: int, split: Split) -> list[Json]:
    """The destinations that give the candidate so many units of each share, and others what they had."""
    entries: list[Json] = []
    numbers: list[int] = []
    for share in shares:
        if share.state == "foreign":
            entries.append(share.entry)
            numbers.append(share.weight * WHOLE)
        else:
            entries += (share.stable, share.candidate)
            numbers += (share.weight * (WHOLE - candidate), share.weight * candidate)
    return [{**entry, "weight": number} for entry, number in zip(entries, split.spread(numbers), strict=True)]


def unite(shares: Sequence[Share], like: Sequence[Json], split: Split, *, keep: bool = False) -> list[Json]:
    """The owner's destinations. `like` is what he wrote once: its way of writing weights is kept where they agree.

    `keep`: the owner's list names the candidate itself, so it stays, with no weight (traffic-only plans).
    """
    entries: list[Json] = []
    numbers: list[int] = []
    for share in shares:
        entries.append(share.entry)
        numbers.append(share.weight)
        if keep and share.kept:
            entries.append(share.candidate)
            numbers.append(0)
    weights = split.spread(numbers)
    if len(like) == len(entries) and split.spread(split.given(like)) == weights:
        return [
            {**e, **({"weight": old["weight"]} if "weight" in old else {})}
            for e, old in zip(entries, like, strict=True)
        ]
    if len(entries) == 1 and split.bare:
        return entries
    return [{**entry, "weight": number} for entry, number in zip(entries, weights, strict=True)]


def fraction(shares: Sequence[Share]) -> int | None:
    """Units that the candidate gets of what goes to the service; None when nothing does."""
    ours = [share for share in shares if share.state != "foreign" and share.weight]
    whole = sum(share.weight for share in ours)
    return round(WHOLE * sum(share.part for share in ours) / whole) if whole else None


def bare(entry: Mapping[str, Any]) -> Json:
    """A destination without its weight."""
    return {key: value for key, value in entry.items() if key != "weight"}
