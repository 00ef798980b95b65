"""Consul: a ServiceResolver has the two sides as subsets, a ServiceSplitter splits between them.

Both have the name of the Service, and both may be the owner's: his resolver gets two subsets more, his splitter's one
destination is split.  The resolver comes first and goes last, as Consul itself demands.  Weights are percents with two
decimals whose sum is 100.  A ServiceRouter is never written: its routes lead to the splitter unless they name a subset.

| question | module |
|---|---|
| whether Consul has taken an object | `synced` |
| our two subsets, in whose resolver | `subsets` |
| what would go wrong | `findings` |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from rollout.adapters.routers.consul import synced
from rollout.adapters.routers.consul.findings import of_consul
from rollout.adapters.routers.consul.subsets import Subsets
from rollout.adapters.routers.consul.synced import spec_of
from rollout.adapters.routers.parts.spots import home_of
from rollout.adapters.routers.parts.weights import WHOLE
from rollout.adapters.routers.services.dialect import Dialect, Rule, Wanted
from rollout.adapters.routers.services.pair import marked
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.adapters.routers.services.routes import owned, routings
from rollout.adapters.routers.services.sides import Place
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import SERVICE_DEFAULTS, SERVICE_RESOLVER, SERVICE_ROUTER, SERVICE_SPLITTER, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Feature, Objects, Read


class Splitters(Dialect):
    """consul.hashicorp.com: one splitter for a Service, whose destinations are its subsets or other services."""

    kinds = ((SERVICE_SPLITTER,),)
    makes = (SERVICE_SPLITTER,)
    bare = False
    fields = ".spec.splits"
    sides = Subsets()

    def rules(self, obj: Json) -> Iterator[Rule]:
        """A splitter is one list."""
        yield Rule("", 0, spec_of(obj), "splits")

    def place(self, entry: Json, home: str) -> Place | None:
        """Without a name it is the service that the splitter is named for."""
        if entry.get("partition"):
            return None
        return Place(entry.get("namespace") or home, entry.get("service", ""), entry.get("serviceSubset", ""))

    def to(self, entry: Json, place: Place, home: str) -> Json:
        """The same destination with another subset; nothing of it where no place is given."""
        left_out = {"serviceSubset"} if place.name else {"serviceSubset", "service"}
        rest = {key: value for key, value in entry.items() if key not in left_out}
        return {**rest, "serviceSubset": place.subset} if place.subset else rest

    def weight(self, entry: Json) -> Fraction:
        """A percent with two decimals; none where it is left out."""
        return Fraction(round(entry.get("weight", 0) * 100), 100)

    def spread(self, numbers: Sequence[int]) -> Sequence[float]:
        """Percents with two decimals that add up to 100; what rounding leaves goes to the greatest remainders."""
        total = sum(numbers)
        if not total:
            return list(numbers)
        units = [number * WHOLE // total for number in numbers]
        remainders = sorted(range(len(numbers)), key=lambda i: numbers[i] * WHOLE % total, reverse=True)
        for index in remainders[: WHOLE - sum(units)]:
            units[index] += 1
        return [it / 100 if it % 100 else it // 100 for it in units]

    def counts(self, obj: Json, backends: Backends) -> bool:
        """Splitters of others that name the Service lead to its own."""
        return self.answers(obj, backends)

    def made_for(self, name: str, backends: Backends) -> bool:
        """It has the name of the Service, or Consul would not find it."""
        return name == backends.service

    def answers(self, obj: Json, backends: Backends) -> bool:
        """Whether it is the Service's."""
        return (home_of(obj), obj["metadata"]["name"]) == (backends.namespace, backends.service)

    def wanted(self, backends: Backends, service: Json, objects: Objects) -> Iterator[Wanted]:
        """One, if its owner has none."""
        found = (obj for obj in objects.get(SERVICE_SPLITTER, ()) if self.answers(obj, backends))
        if all(marked(obj, backends) for obj in found):
            yield Wanted(Ref(SERVICE_SPLITTER, backends.namespace, backends.service), {"splits": [{"weight": 100}]})

    def pending(self, obj: Json) -> str:
        """See `synced.pending`."""
        return synced.pending(obj)

    def refused(self, obj: Json) -> str:
        """See `synced.refused`."""
        return synced.refused(obj)

    def others(self, backends: Backends) -> tuple[Read, ...]:
        """The resolver; and what may lead requests past the split."""
        here = backends.namespace
        return (
            Read(SERVICE_RESOLVER, here),
            Read(SERVICE_ROUTER, here, optional=True),
            Read(SERVICE_DEFAULTS, here, optional=True),
        )

    def findings(self, backends: Backends, objects: Objects) -> Iterator[Finding]:
        """See `findings`."""
        found = [one for one in routings(self, backends, objects) if not owned(self, one, backends)]
        return of_consul(backends, objects, found)


class Consul(ServiceRouter):
    """Splits traffic with a resolver's subsets and a splitter."""

    name: str = "consul"
    dialect = Splitters()
    features: frozenset[Feature] = frozenset({Feature.FRACTIONS, Feature.SUBSETS})
    splits = "Consul's ServiceResolvers and ServiceSplitters"
