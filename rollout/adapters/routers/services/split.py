"""The two ways of splitting a list of Services; see `parts.shares`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rollout.adapters.routers.parts.names import Role
from rollout.adapters.routers.parts.shares import Share, bare
from rollout.adapters.routers.parts.spots import traffic_only
from rollout.adapters.routers.services.dialect import Dialect
from rollout.adapters.routers.services.pair import ROLES
from rollout.adapters.routers.services.sides import Place
from rollout.plan.base import Json
from rollout.plan.program import Backends


def split_of(dialect: Dialect, backends: Backends) -> OwnServices | UserServices:
    """How this plan splits."""
    return UserServices(dialect, backends) if traffic_only(backends) else OwnServices(dialect, backends)


@dataclass(frozen=True, slots=True)
class _Lists:
    """How the dialect writes lists."""

    dialect: Dialect
    backends: Backends

    @property
    def bare(self) -> bool:
        """Whether a lone destination may be written without a weight."""
        return self.dialect.bare

    def given(self, entries: Sequence[Json]) -> list[int]:
        """The weights of a list, in proportion."""
        return self.dialect.given(entries)

    def spread(self, numbers: Sequence[int]) -> Sequence[float]:
        """Weights in proportion to the numbers, as the dialect writes them."""
        return self.dialect.spread(numbers)

    def stands(self, shares: Sequence[Share]) -> Mapping[str, str]:
        """Nothing: our names stand for the Service itself."""
        return {}

    def _place(self, entry: Json, home: str) -> Place | None:
        place = self.dialect.place(entry, home)
        return replace(place, name=self.backends.service) if place is not None and not place.name else place

    def _rest(self, entry: Json, home: str) -> Json:
        """All of a destination but the Service and the weight."""
        return self.dialect.to(bare(entry), Place("", ""), home)


class OwnServices(_Lists):
    """Two destinations of ours take the place of the owner's."""

    __slots__ = ()

    def shares(self, entries: Sequence[Json], home: str) -> list[Share]:
        """Read a list of destinations."""
        weights = self.given(entries)
        found: list[Share] = []
        taken: set[int] = set()
        for index, entry in enumerate(entries):
            if index in taken:
                continue
            role, place = self._role(entry, home)
            twin = self._twin(entries, index, home, taken) if role else None
            if twin is not None:
                taken.add(twin)
                stable, candidate = (index, twin) if role == "stable" else (twin, index)
                found.append(
                    self._share("split", entry, home, weights[stable] + weights[candidate], weights[candidate])
                )
            elif role:
                found.append(self._share("torn", entry, home, weights[index], weights[index] * (role == "canary")))
            elif place == self._service:
                found.append(self._share("whole", entry, home, weights[index], 0))
            else:
                found.append(Share("foreign", weights[index], bare(entry)))
        return found

    @property
    def _service(self) -> Place:
        return Place(self.backends.namespace, self.backends.service)

    def _ours(self, role: Role) -> Place:
        return self.dialect.sides.ours(self.backends, role)

    def _role(self, entry: Json, home: str) -> tuple[Role | None, Place | None]:
        place = self._place(entry, home)
        return next((role for role in ROLES if place == self._ours(role)), None), place

    def _twin(self, entries: Sequence[Json], index: int, home: str, taken: set[int]) -> int | None:
        """The other side of a destination of ours."""
        mine, _ = self._role(entries[index], home)
        for other in range(index + 1, len(entries)):
            role, _ = self._role(entries[other], home)
            alike = self._rest(entries[other], home) == self._rest(entries[index], home)
            if other not in taken and role and role != mine and alike:
                return other
        return None

    def _share(self, state: Literal["whole", "split", "torn"], entry: Json, home: str, weight: int, part: int) -> Share:
        plain = bare(entry)
        places = (self._service, self._ours("stable"), self._ours("canary"))
        owners, stable, candidate = (self.dialect.to(plain, place, home) for place in places)
        return Share(state, weight, owners, stable, candidate, part)


class UserServices(_Lists):
    """Weight moves between two destinations of the owner's. A list that names only the candidate is his own choice."""

    __slots__ = ()

    def shares(self, entries: Sequence[Json], home: str) -> list[Share]:
        """Read a list of destinations."""
        weights = self.given(entries)
        stable, candidate = (
            self.dialect.sides.place_of(s, self.backends) for s in (self.backends.stable, self.backends.candidate)
        )
        places = [self._place(entry, home) for entry in entries]
        twins: dict[int, int] = {}
        for index in (i for i, place in enumerate(places) if place == stable):
            others = (i for i, place in enumerate(places) if place == candidate and i not in twins.values())
            twin = next((i for i in others if self._rest(entries[i], home) == self._rest(entries[index], home)), None)
            if twin is not None:
                twins[index] = twin
        found: list[Share] = []
        for index, entry in enumerate(entries):
            plain = bare(entry)
            if index in twins.values():
                continue
            if places[index] != stable:
                found.append(Share("foreign", weights[index], plain))
                continue
            other = twins.get(index)
            part = 0 if other is None else weights[other]
            its = self.dialect.to(plain, candidate, home) if other is None else bare(entries[other])
            state: Literal["split", "whole"] = "split" if part else "whole"
            found.append(Share(state, weights[index] + part, plain, plain, its, part, kept=other is not None))
        return found
