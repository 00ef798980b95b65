"""Where in an object traffic is routed: one list of destinations is a spot, all of them are its routing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps

from rollout.adapters.routers.parts.shares import Share
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref
from rollout.plan.program import Backends


@dataclass(frozen=True, slots=True)
class Spot:
    """One list of destinations, the part of the object that has it, and how these are shared."""

    section: str
    """The list of rules that it belongs to; empty where the object is one rule."""
    index: int
    route: Json
    """The rule."""
    shares: Sequence[Share]
    key: str = "route"
    """The field of the rule that is the list."""
    beside: int = 0
    """So many rules of ours stand before it in its list."""

    @property
    def entries(self) -> list[Json]:
        """Its destinations."""
        found: list[Json] = self.route[self.key]
        return found

    @property
    def path(self) -> str:
        """The JSON pointer of its destinations."""
        return f"/spec/{self.section}/{self.index}/{self.key}" if self.section else f"/spec/{self.key}"

    @property
    def place(self) -> int:
        """Its place among its owner's rules."""
        return self.index - self.beside

    @property
    def name(self) -> str:
        """The name that its owner gave it; empty for none."""
        return str(self.route.get("name", ""))

    @property
    def rest(self) -> str:
        """A digest of everything but its destinations, to know it again when it has moved."""
        rest = {key: value for key, value in self.route.items() if key != self.key}
        return sha256(dumps(rest, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def steered(self) -> bool:
        """Whether it goes to the service."""
        return any(share.state != "foreign" for share in self.shares)

    @property
    def touched(self) -> bool:
        """Whether the candidate, or a destination of ours, has a place in it that its owner did not give."""
        return any(share.state in ("split", "torn") for share in self.shares)

    @property
    def where(self) -> str:
        """Its place below `spec`."""
        return f"{self.section}[{self.index}]" if self.section else self.key

    def __str__(self) -> str:
        return self.where + (f" '{self.name}'" if self.name else "")


@dataclass(frozen=True, slots=True)
class Routing:
    """One object with its routes."""

    kind: Kind
    obj: Json
    spots: Sequence[Spot]

    @property
    def ref(self) -> Ref:
        """Its name."""
        return ref(self.kind, self.obj)

    @property
    def steered(self) -> list[Spot]:
        """Its routes to the service."""
        return [spot for spot in self.spots if spot.steered]


def home_of(obj: Json) -> str:
    """The namespace of an object."""
    namespace: str = obj["metadata"].get("namespace", "")
    return namespace


def ref(kind: Kind, obj: Json) -> Ref:
    """The name of an object (list items may come without their kind)."""
    return Ref(kind, home_of(obj), obj["metadata"]["name"])


def title(obj_ref: Ref, backends: Backends) -> str:
    """An object in words; the namespace only when it is not the plan's."""
    where = "" if obj_ref.namespace == backends.namespace else f" in {obj_ref.namespace}"
    return f"{obj_ref.kind}/{obj_ref.name}{where}"


def traffic_only(backends: Backends) -> bool:
    """Whether both sides are the owner's, so that nothing of ours is needed to tell them apart."""
    return not backends.stable.labels and not backends.candidate.labels
