"""Istio: VirtualServices are patched, one DestinationRule of ours holds the subsets.

| question | module |
|---|---|
| which hosts are the Service | `hosts` |
| which routes count, where our names are | `routes` |
| how one route's destinations are split and put together again | `shares`, `weights` |
| the names of our subsets | `subsets` |
| our DestinationRule; the VirtualService we make | `rule`, `made` |
| chosen requests to the candidate, copies for it | `matched`, `mirrored` |
| what the routes say | `view` |
| which pods requests find | `selected` |
| what is written, on the way out and home | `steering`, `homing` |
| what the owner had written | `originals` |
| what would go wrong | `findings` |
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rollout.adapters.istiod import HOME, mesh_config
from rollout.adapters.routers.istio import findings, homing, selected, steering, view
from rollout.adapters.routers.istio.hosts import canonical, concerned
from rollout.adapters.routers.istio.made import made_ref
from rollout.adapters.routers.istio.routes import sound
from rollout.adapters.routers.istio.rule import rule_ref
from rollout.plan.finding import Finding
from rollout.plan.kinds import CONFIGMAP, DESTINATION_RULE, SERVICE, SIDECAR, VIRTUAL_SERVICE, Kind
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.router import ALL_WRITES, NOBODY, Change, Concerns, Crowd, Feature, Labels, Objects, Read, RouteView


class Istio:
    """Splits traffic with VirtualServices and subsets; see `ports.router.Router`."""

    name: str = "istio"
    features: frozenset[Feature] = frozenset(
        {Feature.FRACTIONS, Feature.SUBSETS, Feature.NAMED, Feature.TCP, Feature.MATCHES, Feature.MIRROR}
    )
    concerns: Mapping[Kind, Concerns] = MappingProxyType({VIRTUAL_SERVICE: concerned, DESTINATION_RULE: concerned})
    retired: str = ""
    part: str = ""
    splits: str = "Istio's VirtualServices and DestinationRules"
    writes: Mapping[Kind, Collection[str]] = MappingProxyType(
        dict.fromkeys((VIRTUAL_SERVICE, DESTINATION_RULE), ALL_WRITES)
    )

    def reads(self, backends: Backends) -> tuple[Read, ...]:
        """Routes and rules of all namespaces, for any may name or hide the Service; which one is the mesh's root."""
        about = tuple({f"{backends.service}.{backends.namespace}", *_hosts(backends), *_names(backends)})
        return (
            Read(VIRTUAL_SERVICE, about=about),
            Read(DESTINATION_RULE, about=about),
            Read(SERVICE, backends.namespace),
            Read(SIDECAR, backends.namespace, optional=True),
            Read(CONFIGMAP, HOME, optional=True, name=mesh_config()),
        )

    def view(self, backends: Backends, objects: Objects) -> RouteView:
        """What the routes say now."""
        return view.look(backends, sound(objects))

    def steer(
        self,
        backends: Backends,
        objects: Objects,
        weight: float,
        journal: Sequence[Entry],
        owner: Mapping[str, Any],
    ) -> tuple[Change, ...]:
        """What to write so that the candidate gets `weight` percent; see `steering.steer` for errors."""
        return steering.steer(backends, sound(objects), weight, journal, owner)

    def restore(self, backends: Backends, objects: Objects, journal: Sequence[Entry]) -> tuple[Change, ...]:
        """What to write so that all routes are the owner's again."""
        return homing.restore(backends, sound(objects), journal)

    def sweep(self, backends: Backends, objects: Objects) -> tuple[Change, ...]:
        """Deletes of our rule and of a VirtualService that we made."""
        return homing.sweep(backends, sound(objects))

    def findings(self, backends: Backends, objects: Objects, crowd: Crowd = NOBODY) -> tuple[Finding, ...]:
        """What would hide or break our routes."""
        return findings.find(backends, sound(objects), crowd)

    def unreached(self, backends: Backends, objects: Objects, pods: Sequence[Labels]) -> Sequence[str]:
        """For each pod of the candidate, why requests would not find it."""
        return selected.unreached(backends, sound(objects), pods)


def _hosts(backends: Backends) -> Iterator[str]:
    """The hosts of a traffic-only plan."""
    for side in (backends.stable, backends.candidate):
        if side.host:
            yield canonical(side.host, backends.namespace)


def _names(backends: Backends) -> Iterator[str]:
    """The objects that are found by name: those that the run makes, and those that the plan names."""
    for name in (rule_ref(backends).name, made_ref(backends).name, *backends.virtual_services):
        yield f"{name}.{backends.namespace}"
