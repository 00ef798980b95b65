"""What one API's objects say about where requests go: all that tells one router between Services from another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

from rollout.adapters.routers.parts.spots import home_of
from rollout.adapters.routers.parts.weights import LARGEST, tidy
from rollout.adapters.routers.services.sides import Place, Services, Sides
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import Kind, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects, Read


@dataclass(frozen=True, slots=True)
class Rule:
    """A part of an object that has a list of destinations: see `parts.spots.Spot`."""

    section: str
    index: int
    body: Json
    key: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A route that the Service needs and its owner has not written, all requests going to the Service itself."""

    ref: Ref
    spec: Json


class Dialect(ABC):
    """The objects of one API. Stateless."""

    kinds: ClassVar[tuple[tuple[Kind, ...], ...]]
    """The kinds of routes; of each, its versions, the newest first."""
    makes: ClassVar[tuple[Kind, ...]] = ()
    """Those of the kinds of which routes are made."""
    dispensable: ClassVar[frozenset[Kind]] = frozenset()
    """Those of the kinds that need not be served."""
    wide: ClassVar[bool] = False
    """Whether objects of other namespaces may route to the Service."""
    limit: ClassVar[int] = LARGEST
    """The greatest sum of the weights in a list."""
    sides: ClassVar[Sides] = Services()
    """What stands for the two sides of a split in its lists."""
    bare: ClassVar[bool] = True
    """Whether a lone destination may be written without a weight."""
    fields: ClassVar[str]
    """The jq path of what a run changes in an owner's object."""

    @abstractmethod
    def rules(self, obj: Json) -> Iterator[Rule]:
        """The parts of an object that have destinations."""

    @abstractmethod
    def place(self, entry: Json, home: str) -> Place | None:
        """The Service that a destination is; None for anything else. `home` is the namespace of its object."""

    def counts(self, obj: Json, backends: Backends) -> bool:
        """Whether an object may be about the Service; a further look is taken at its destinations."""
        return True

    def made_for(self, name: str, backends: Backends) -> bool:
        """Whether a route that we make for a run may have this name. A copy under another name is its owner's."""
        return name == backends.run or name.startswith(f"{backends.run}-")

    def spread(self, numbers: Sequence[int]) -> Sequence[float]:
        """Weights in proportion to the numbers, as this API writes them."""
        return tidy(numbers, self.limit)

    @abstractmethod
    def to(self, entry: Json, place: Place, home: str) -> Json:
        """The same destination at another Service."""

    @abstractmethod
    def answers(self, obj: Json, backends: Backends) -> bool:
        """Whether the object decides where requests to the Service from inside the mesh go."""

    @abstractmethod
    def wanted(self, backends: Backends, service: Json, objects: Objects) -> Iterator[Wanted]:
        """The routes that are to be made for the run; those that are there already among them."""

    def pending(self, obj: Json) -> str:
        """Why an object does not hold yet; empty where its API does not tell."""
        return ""

    def refused(self, obj: Json) -> str:
        """Why an object will not hold."""
        return ""

    def others(self, backends: Backends) -> tuple[Read, ...]:
        """What else has to be read."""
        return ()

    def weight(self, entry: Json) -> Fraction:
        """The weight of a destination."""
        return Fraction(entry.get("weight", 1))

    def given(self, entries: Sequence[Json]) -> list[int]:
        """The weights of a list, in proportion."""
        found = [self.weight(entry) for entry in entries]
        whole = lcm(*(weight.denominator for weight in found))
        return [int(weight * whole) for weight in found]

    def findings(self, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """What only this API can get wrong."""
        return iter(())

    @property
    def flat(self) -> tuple[Kind, ...]:
        """All kinds in all versions."""
        return tuple(kind for versions in self.kinds for kind in versions)


def names(obj: Json, **fields: Any) -> bool:
    """Whether an object's metadata has these values."""
    meta = {**obj["metadata"], "namespace": home_of(obj)}
    return all(meta.get(key) == value for key, value in fields.items())
