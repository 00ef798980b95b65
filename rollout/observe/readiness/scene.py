"""What the findings of all units are made from: the survey, and what is looked up in it again and again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from rollout.observe.hosts import hosts
from rollout.observe.survey import Survey
from rollout.plan.kinds import Ref
from rollout.ports.mesh import Edge, Mesh, MeshView, Unit


@dataclass(frozen=True, slots=True)
class Scene:
    """A survey, with its indexes."""

    mesh: Mesh
    survey: Survey
    units: Mapping[tuple[str, str], Unit]
    """By namespace and name."""
    edges: Mapping[tuple[str, str], tuple[Edge, ...]]
    """By the workload that was called, largest first."""
    plain: tuple[Unit, ...]
    """Those that are not, or not wholly, in the mesh."""
    hosts: Mapping[Ref, Mapping[str, str]]
    """Of both: the Services (`name.namespace`) that their templates may name, as they are written there."""
    excused: frozenset[tuple[str, str]] = frozenset()
    """Namespace and name of callers that may be cut off."""
    pardoned: tuple[Unit, ...] = ()
    """Those of them that are not, or not wholly, in the mesh."""

    def view(self, unit: Unit) -> MeshView:
        """What the mesh says of it."""
        return self.survey.views[unit.ref]

    def inbound(self, unit: Unit) -> tuple[Edge, ...]:
        """What was sent to it, largest first."""
        return self.edges.get((unit.namespace, unit.name), ())

    def serves(self, unit: Unit) -> bool:
        """Whether anything calls it, or could."""
        return bool(self.view(unit).services or self.inbound(unit))

    def mention(self, caller: Unit, unit: Unit) -> str:
        """The host by which a caller's template names one of the unit's Services; empty for none."""
        written = self.hosts.get(caller.ref, {})
        names = (f"{it['metadata']['name']}.{it['metadata']['namespace']}" for it in self.view(unit).services)
        return next((written[name] for name in names if name in written), "")


def scene(mesh: Mesh, survey: Survey, excused: frozenset[tuple[str, str]] = frozenset()) -> Scene:
    """Look everything up once."""
    edges: dict[tuple[str, str], list[Edge]] = defaultdict(list)
    for edge in survey.traffic.edges:
        edges[edge.namespace, edge.name].append(edge)
    everybody = (*survey.units, *survey.outside)
    apart = [it for it in everybody if not survey.views[it.ref].meshed]
    plain = tuple(it for it in apart if (it.namespace, it.name) not in excused)
    pardoned = tuple(it for it in apart if it not in plain)
    return Scene(
        mesh,
        survey,
        {(it.namespace, it.name): it for it in reversed(everybody)},
        {key: tuple(found) for key, found in edges.items()},
        plain,
        {it.ref: hosts(it) for it in apart},
        excused,
        pardoned,
    )
