"""SMI: TrafficSplits are patched; where the Service is the root of none, one is made for the run.

A TrafficSplit says that requests to its root Service go to other Services of its namespace, by weight.  Its weights are
relative, so fractions of a percent are exact; v1alpha1 writes them as quantities (`500m`), later versions as integers.
Splits are not nested: a destination that is the root of another split is its plain endpoints.  So every TrafficSplit
that names the Service as a destination is steered, and its own root as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from rollout.adapters.routers.parts.spots import home_of, ref, title
from rollout.adapters.routers.services.dialect import Dialect, Rule, Wanted
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.adapters.routers.services.sides import Place
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import TRAFFIC_SPLITS, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Feature, Objects

_SUFFIXES: Final = {"m": Fraction(1, 1000), "k": Fraction(1000)}
"""Of quantities, as far as weights have them."""


class TrafficSplits(Dialect):
    """split.smi-spec.io, v1alpha1 to v1alpha4; the fields are the same but for `matches`, which came with v1alpha3."""

    kinds = (TRAFFIC_SPLITS,)
    makes = TRAFFIC_SPLITS
    bare = False
    fields = ".spec.backends"

    def rules(self, obj: Json) -> Iterator[Rule]:
        """A TrafficSplit is one list."""
        yield Rule("", 0, obj["spec"], "backends")

    def place(self, entry: Json, home: str) -> Place | None:
        """Destinations are Services of the split's own namespace."""
        return Place(home, entry["service"].partition(".")[0])

    def to(self, entry: Json, place: Place, home: str) -> Json:
        """The same destination at another Service."""
        return {**entry, "service": place.name}

    def weight(self, entry: Json) -> Fraction:
        """A whole number, or in v1alpha1 a quantity."""
        said = str(entry.get("weight", 0))
        unit = _SUFFIXES.get(said[-1:])
        return Fraction(said) if unit is None else Fraction(said[:-1]) * unit

    def answers(self, obj: Json, backends: Backends) -> bool:
        """Whether the Service is its root."""
        return home_of(obj) == backends.namespace and root_of(obj) == backends.service

    def wanted(self, backends: Backends, service: Json, objects: Objects) -> Iterator[Wanted]:
        """One whose root is the Service, in the newest version that is served, if its owner has none."""
        kind = next((kind for kind in TRAFFIC_SPLITS if kind in objects), TRAFFIC_SPLITS[0])
        its = Ref(kind, backends.namespace, backends.run)
        others = (it for it in _of_root(backends, objects) if ref(kind, it) != its)
        if next(others, None) is None:
            spec = {"service": backends.service, "backends": [{"service": backends.service, "weight": 1}]}
            yield Wanted(its, spec)

    def findings(self, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """RO340: two splits of one root. RO341: a split of some requests only."""
        found = [it for it in _of_root(backends, objects) if it["metadata"]["name"] != backends.run]
        names = [f"TrafficSplit/{it['metadata']['name']}" for it in found]
        if len(found) > 1:
            yield Finding(
                "RO340",
                Level.ERROR,
                f"{', '.join(names)} are all about {backends.service}: which of them a mesh follows is not defined",
                ", ".join(names),
                "keep one",
            )
        for obj in found:
            if obj["spec"].get("matches"):
                where = title(ref(TRAFFIC_SPLITS[0], obj), backends)
                yield Finding(
                    "RO341",
                    Level.ERROR,
                    f"{where} is about some requests only: those that match none of its route groups go to the plain "
                    f"Service {backends.service}, and reach candidate pods from their start",
                    f"{where} spec.matches",
                    "split all requests while the run lasts, or use another router",
                )


def root_of(obj: Json) -> str:
    """The Service whose requests a TrafficSplit splits, by its short name."""
    name: str = obj["spec"]["service"]
    return name.partition(".")[0]


def _of_root(backends: Backends, objects: Objects) -> Iterator[Json]:
    dialect = Smi.dialect
    found = (obj for kind in TRAFFIC_SPLITS for obj in objects.get(kind, ()))
    return (obj for obj in found if dialect.answers(obj, backends))


class Smi(ServiceRouter):
    """Splits traffic with TrafficSplits."""

    name: str = "smi"
    dialect = TrafficSplits()
    features: frozenset[Feature] = frozenset({Feature.FRACTIONS, Feature.TCP})
    retired: str = "SMI was archived in October 2023; router `gateway` works with every mesh that is still maintained"
