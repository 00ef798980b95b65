"""What the checks of an adoption look at: the units of a namespace, and what lies around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from rollout.checks.adoption.meshes import EVERY, Adopted, Driver
from rollout.checks.adoption.selectors import in_labels
from rollout.checks.subject import Question
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import ENDPOINT_SLICE, SERVICE, Kind
from rollout.ports.mesh import Unit

Place = Literal["here", "everywhere", "mesh", "dns", "prometheus"]
"""Where objects are looked for: this namespace, all, the control plane, the cluster's DNS, what scrapes metrics."""


@dataclass(frozen=True, slots=True, order=True)
class Look:
    """Objects of one kind in one place."""

    kind: Kind
    place: Place = "here"

    def __str__(self) -> str:
        where = {"here": "", "everywhere": " in all namespaces"}.get(self.place, f" of the {self.place}")
        return f"{self.kind.plural}{where}"


_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Outside:
    """A host outside the mesh that a unit was seen to call."""

    host: str
    port: int
    protocol: Literal["HTTP", "HTTPS", "TCP"] = "TCP"
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Raw objects, as they were read at one time."""

    namespace: Json
    """The Namespace object; of one that may not be read, only its name."""
    units: tuple[Unit, ...]
    objects: Mapping[Look, Sequence[Json]] = field(default_factory=lambda: _NONE)
    unseen: Mapping[Look, str] = field(default_factory=lambda: _NONE)
    """Why something could not be looked at."""
    narrowed: Mapping[Look, str] = field(default_factory=lambda: _NONE)
    """Why something was looked at in this namespace only."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _NONE)
    """Labels of the namespaces that we know."""
    adopted: Adopted = field(default_factory=Adopted)
    outside: tuple[Outside, ...] | None = None
    """Hosts outside the mesh that were called; None when nobody watched."""

    @property
    def name(self) -> str:
        """The name of the namespace."""
        return str(self.namespace["metadata"]["name"])

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the namespace."""
        return self.namespace["metadata"].get("labels") or {}

    def of(self, kind: Kind, place: Place = "here") -> Sequence[Json]:
        """The objects of a kind there; none when they could not be seen."""
        return self.objects.get(Look(kind, place), ())

    @property
    def joining(self) -> tuple[Unit, ...]:
        """Units whose pods can get a proxy."""
        return tuple(unit for unit in self.units if not unit.spec.get("hostNetwork"))

    def services(self, unit: Unit) -> list[Json]:
        """The Services that lead to a unit, by their selector or by endpoints that name its pods."""
        pods = {pod["metadata"]["name"] for pod in unit.pods}
        return [it for it in self.of(SERVICE) if in_labels(_selector(it), unit.labels) or self._points(it, pods)]

    def _points(self, service: Json, pods: set[str]) -> bool:
        if _selector(service):
            return False
        mine = {"kubernetes.io/service-name": service["metadata"]["name"]}
        slices = [it for it in self.of(ENDPOINT_SLICE) if in_labels(mine, it["metadata"].get("labels") or {})]
        targets = [end.get("targetRef") or {} for it in slices for end in it.get("endpoints") or ()]
        return any(it.get("kind") == "Pod" and it.get("name") in pods for it in targets)


def called(unit: Unit) -> str:
    """A unit in messages about its namespace: `Deployment/web`."""
    return f"{unit.kind}/{unit.name}"


def _selector(service: Json) -> Mapping[str, str] | None:
    return (service.get("spec") or {}).get("selector")


Check = Callable[[Surroundings], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Checker(Question):
    """One obstacle to an adoption that is looked for.

    A sibling of the checkers of a plan: those ask the cluster themselves and build on each other; these are pure, see
    one snapshot, and none depends on another.
    """

    check: Check
    needs: tuple[Look, ...] = ()
    """What it looks at besides the units; where this could not be seen, it is skipped."""
    meshes: frozenset[Driver] = EVERY
    """Whose adoption it concerns."""
    observed: bool = False
    """It looks at what was observed of the traffic, which nobody need have done."""
