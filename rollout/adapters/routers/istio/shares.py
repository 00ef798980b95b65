"""The two ways of splitting a route of a VirtualService; see `parts.shares`.

`OwnSubsets`: the owner's destination is replaced by two subsets of ours.  `UserBackends` (traffic-only plans): the
owner runs both sides, and weight moves from one to the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rollout.adapters.routers.istio.hosts import canonical, is_service, respell
from rollout.adapters.routers.parts.names import Names, Role
from rollout.adapters.routers.parts.shares import Share, bare
from rollout.adapters.routers.parts.weights import given, tidy
from rollout.plan.base import Json
from rollout.plan.program import Backends, Side


def _to(entry: Json, **changes: str) -> Json:
    """The entry with another destination; an empty value removes the field."""
    destination = {**entry["destination"], **changes}
    return {**entry, "destination": {key: value for key, value in destination.items() if value != ""}}


class _Weights:
    """How a VirtualService writes weights."""

    bare = True

    def given(self, entries: Sequence[Json]) -> list[int]:
        """The weights of a list, in proportion."""
        return given(entries)

    def spread(self, numbers: Sequence[int]) -> Sequence[float]:
        """Small whole numbers."""
        return tidy(numbers)


@dataclass(frozen=True, slots=True)
class OwnSubsets(_Weights):
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

    def stands(self, shares: Sequence[Share]) -> Mapping[str, str]:
        """The owner's subset behind each of ours."""
        roles: tuple[Role, Role] = ("stable", "canary")
        tails = {share.tail for share in shares if share.state != "foreign"}
        return {self.names.subset(role, tail): self.owners(tail) for tail in sorted(tails) for role in roles}

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
                found.append(self._lone(bare(entry), weights[index], home))
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
        owners = _to(bare(stable), subset=self.owners(tail))
        return Share("split", stable_weight + part, owners, bare(stable), bare(candidate), part, tail)


@dataclass(frozen=True, slots=True)
class UserBackends(_Weights):
    """Weight moves between two backends of the owner's. A route that names only the candidate is his own choice."""

    backends: Backends

    def stands(self, shares: Sequence[Share]) -> Mapping[str, str]:
        """Nothing: both names are his own."""
        return {}

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
                found.append(Share("foreign", weights[index], bare(entry)))
                continue
            twin = twins[index]
            part = 0 if twin is None else weights[twin]
            plain = bare(entry)
            candidate = self._candidate(plain, home) if twin is None else bare(entries[twin])
            state: Literal["split", "whole"] = "split" if part else "whole"
            found.append(Share(state, weights[index] + part, plain, plain, candidate, part, kept=twin is not None))
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
