"""What stands for stable's pods and for the candidate's where a route names a destination.

Most APIs name Services, so two of ours are made (`pair`); an API that knows parts of a Service is given parts instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from rollout.adapters.routers.parts.names import Role
from rollout.adapters.routers.parts.spots import Routing
from rollout.adapters.routers.parts.writing import removal
from rollout.adapters.routers.services import pair
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import SERVICE, Kind, Ref
from rollout.plan.program import Backends, Side
from rollout.ports.router import ALL_WRITES, Change, Objects


@dataclass(frozen=True, slots=True)
class Place:
    """A Service as a destination, or a part of one. Without a name it is the one that the object is named for."""

    namespace: str
    name: str
    subset: str = ""

    def __str__(self) -> str:
        return f"subset {self.subset} of Service {self.name}" if self.subset else f"Service {self.name}"


class Sides(ABC):
    """What a run puts there for its own time, so that routes can tell its two sides apart. Stateless."""

    writes: ClassVar[Mapping[Kind, Collection[str]]]
    """What is done to which kinds for them."""

    @abstractmethod
    def ours(self, backends: Backends, role: Role) -> Place:
        """How a route names one of them."""

    @abstractmethod
    def refs(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """The objects that are made, or are there already."""

    @abstractmethod
    def present(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """Those of them that exist."""

    @abstractmethod
    def changes(
        self, backends: Backends, service: Json, objects: Objects, owner: Mapping[str, Any]
    ) -> Iterator[Change]:
        """What brings both to where they should be.

        Raises:
            AlreadyExists: an object of somebody else has the name.
        """

    @abstractmethod
    def drift(self, backends: Backends, service: Json | None, objects: Objects) -> Iterator[str]:
        """What is wrong with them while routes name them."""

    @abstractmethod
    def removals(self, backends: Backends, objects: Objects) -> Iterator[Change]:
        """What takes both away, once no route names them."""

    @abstractmethod
    def place_of(self, side: Side, backends: Backends) -> Place:
        """One side of a traffic-only plan, as it names it."""

    @abstractmethod
    def misnamed(self, word: str, side: Side, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """What is wrong with what a side of a traffic-only plan names."""

    def lodged(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """Objects of the owner's in which they are."""
        return ()

    def holders(self, backends: Backends, objects: Objects) -> Iterator[Routing]:
        """The objects in which they are, where their API tells whether it holds."""
        return iter(())


class Services(Sides):
    """Two Services of ours."""

    writes = MappingProxyType({SERVICE: ALL_WRITES})

    def ours(self, backends: Backends, role: Role) -> Place:
        """One of them."""
        its = pair.pair_ref(backends, role)
        return Place(its.namespace, its.name)

    def refs(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """Both."""
        return pair.refs(backends)

    def present(self, backends: Backends, objects: Objects) -> tuple[Ref, ...]:
        """Those that exist."""
        return pair.present(backends, objects)

    def changes(
        self, backends: Backends, service: Json, objects: Objects, owner: Mapping[str, Any]
    ) -> Iterator[Change]:
        """See `pair.changes`."""
        return pair.changes(backends, service, objects, owner)

    def drift(self, backends: Backends, service: Json | None, objects: Objects) -> Iterator[str]:
        """See `pair.drift`."""
        return pair.drift(backends, service, objects)

    def removals(self, backends: Backends, objects: Objects) -> Iterator[Change]:
        """Their deletes."""
        left = ((its, pair.find(its, objects)) for its in pair.present(backends, objects))
        return (removal(backends, its, obj) for its, obj in left if obj is not None)

    def place_of(self, side: Side, backends: Backends) -> Place:
        """`web-v2`, `web-v2.shop`, or its full name."""
        name, _, rest = (side.host or backends.service).partition(".")
        return Place(rest.partition(".")[0] or backends.namespace, name)

    def misnamed(self, word: str, side: Side, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """A side is a Service that is there."""
        place = self.place_of(side, backends)
        if side.subset:
            text = f"{word} names subset {side.subset}, and this router splits between Services"
            yield Finding("RO330", Level.ERROR, text, f"traffic.{word}.subset", "name a Service as its host")
        elif place.namespace == backends.namespace and not pair.find(
            Ref(SERVICE, place.namespace, place.name), objects
        ):
            text = f"there is no Service {place.name} in {place.namespace}: its share would be refused"
            yield Finding("RO330", Level.ERROR, text, f"traffic.{word}.host", "create it, or correct the name")
