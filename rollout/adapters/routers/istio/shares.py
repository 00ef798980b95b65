"""One route's destinations, read as shares: whose each is, how it is split, and how to write it split or whole.

Two ways of splitting have the same shape.  `OwnSubsets`: the owner's destination is replaced by two subsets of ours.
`UserBackends` (traffic-only plans): the owner runs both sides, and weight moves from one to the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from rollout.adapters.routers.istio.hosts import canonical, is_service, respell
from rollout.adapters.routers.istio.subsets import Names
from rollout.adapters.routers.istio.weights import WHOLE, given, tidy
from rollout.plan.base import Json
from rollout.plan.program import Backends, Side


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
    kept: bool = False
    """The owner's own route names the candidate too (traffic-only plans)."""


class Split(Protocol):
    """One of the two ways of splitting."""

    def shares(self, entries: Sequence[Json], home: str) -> list[Share]:
        """Read a route's destinations; `home` is the namespace of their VirtualService."""
        ...


def divide(shares: Sequence[Share], candidate: int) -> list[Json]:
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
    return [{**entry, "weight": number} for entry, number in zip(entries, tidy(numbers), strict=True)]


def unite(shares: Sequence[Share], like: Sequence[Json], *, keep: bool = False) -> list[Json]:
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
    numbers = tidy(numbers)
    if len(like) == len(entries) and tidy(given(like)) == numbers:
        return [
            {**e, **({"weight": old["weight"]} if "weight" in old else {})}
            for e, old in zip(entries, like, strict=True)
        ]
    if len(entries) == 1:
        return entries
    return [{**entry, "weight": number} for entry, number in zip(entries, numbers, strict=True)]


def fraction(shares: Sequence[Share]) -> int | None:
    """Units that the candidate gets of what goes to the service; None when nothing does."""
    ours = [share for share in shares if share.state != "foreign" and share.weight]
    whole = sum(share.weight for share in ours)
    return round(WHOLE * sum(share.part for share in ours) / whole) if whole else None


def _bare(entry: Mapping[str, Any]) -> Json:
    return {key: value for key, value in entry.items() if key != "weight"}


def _to(entry: Json, **changes: str) -> Json:
    """The entry with another destination; an empty value removes the field."""
    destination = {**entry["destination"], **changes}
    return {**entry, "destination": {key: value for key, value in destination.items() if value != ""}}


@dataclass(frozen=True, slots=True)
class OwnSubsets:
    """Our subsets take the place of the owner's destination."""

    backends: Backends
    known: Mapping[str, str] = field(default_factory=dict)
    """The owner's subset names by tail, for names too long to be part of ours."""

    @property
    def names(self) -> Names:
        """Our names."""
        return Names(self.backends.run)

    def owners(self, tail: str) -> str:
        """The owner's subset behind a tail."""
        return self.known.get(tail, tail)

    def shares(self, entries: Sequence[Json], home: str) -> list[Share]:
        """Read a route's destinations."""
        weights = given(entries)
        found: list[Share] = []
        taken: set[int] = set()
        for index, entry in enumerate(entries):
            if index in taken:
                continue
            twin = self._twin(entries, index, home, taken)
            if twin is None:
                found.append(self._lone(_bare(entry), weights[index], home))
                continue
            taken.add(twin)
            first = self.names.read(entry["destination"]["subset"])
            stable, candidate = (index, twin) if first and first[0] == "stable" else (twin, index)
            found.append(self._split(entries[stable], weights[stable], entries[candidate], weights[candidate]))
        return found

    def _twin(self, entries: Sequence[Json], index: int, home: str, taken: set[int]) -> int | None:
        """The other side of a destination of ours."""
        mine = self._key(entries[index], home)
        if mine is None:
            return None
        for other in range(index + 1, len(entries)):
            key = self._key(entries[other], home)
            if other not in taken and key is not None and key[0] != mine[0] and key[1:] == mine[1:]:
                return other
        return None

    def _key(self, entry: Json, home: str) -> tuple[object, ...] | None:
        destination = entry["destination"]
        name = self.names.read(destination.get("subset", ""))
        if name is None or not is_service(destination["host"], home, self.backends):
            return None
        return *name, canonical(destination["host"], home), str(destination.get("port"))

    def _lone(self, entry: Json, weight: int, home: str) -> Share:
        destination = entry["destination"]
        subset = destination.get("subset", "")
        name = self.names.read(subset)
        if not is_service(destination["host"], home, self.backends):
            return Share("foreign", weight, entry)
        tail = self.names.tail(subset) if name is None else name[1]
        part = weight if name is not None and name[0] == "canary" else 0
        return Share(
            "whole" if name is None else "torn",
            weight,
            entry if name is None else _to(entry, subset=self.owners(tail)),
            _to(entry, subset=self.names.subset("stable", tail)),
            _to(entry, subset=self.names.subset("canary", tail)),
            part,
            tail,
        )

    def _split(self, stable: Json, stable_weight: int, candidate: Json, part: int) -> Share:
        name = self.names.read(stable["destination"]["subset"])
        tail = name[1] if name else ""
        owners = _to(_bare(stable), subset=self.owners(tail))
        return Share("split", stable_weight + part, owners, _bare(stable), _bare(candidate), part, tail)


@dataclass(frozen=True, slots=True)
class UserBackends:
    """Weight moves between two backends of the owner's. A route that names only the candidate is his own choice."""

    backends: Backends

    def shares(self, entries: Sequence[Json], home: str) -> list[Share]:
        """Read a route's destinations."""
        weights = given(entries)
        found: list[Share] = []
        taken: set[int] = set()
        twins = {
            i: self._twin(entries, i, home, taken) for i in range(len(entries)) if self._is_stable(entries[i], home)
        }
        for index, entry in enumerate(entries):
            if index in taken:
                continue
            if index not in twins:
                found.append(Share("foreign", weights[index], _bare(entry)))
                continue
            twin = twins[index]
            part = 0 if twin is None else weights[twin]
            bare = _bare(entry)
            candidate = self._candidate(bare, home) if twin is None else _bare(entries[twin])
            state: Literal["split", "whole"] = "split" if part else "whole"
            found.append(Share(state, weights[index] + part, bare, bare, candidate, part, kept=twin is not None))
        return found

    def is_side(self, side: Side, destination: Mapping[str, Any], home: str) -> bool:
        """Whether a destination is this side of the split."""
        host = canonical(side.host or self.backends.service, self.backends.namespace)
        same = canonical(destination["host"], home) == host
        return same and destination.get("subset", "") == side.subset

    def _is_stable(self, entry: Json, home: str) -> bool:
        return self.is_side(self.backends.stable, entry["destination"], home)

    def _twin(self, entries: Sequence[Json], index: int, home: str, taken: set[int]) -> int | None:
        port = entries[index]["destination"].get("port")
        for other, entry in enumerate(entries):
            destination = entry["destination"]
            fits = destination.get("port") == port and self.is_side(self.backends.candidate, destination, home)
            if fits and other not in taken:
                taken.add(other)
                return other
        return None

    def _candidate(self, entry: Json, home: str) -> Json:
        side = self.backends.candidate
        said = entry["destination"]["host"]
        host = side.host or self.backends.service
        namespace = self.backends.namespace
        same = canonical(said, home) == canonical(host, namespace)
        return _to(entry, host=said if same else respell(host, home, said, namespace), subset=side.subset)
