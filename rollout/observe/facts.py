"""What a compiler of an adoption may know: the units of the namespace as the mesh has them, and who calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from rollout.observe.adoption import name_of
from rollout.observe.readiness import Scene, scene
from rollout.observe.survey import Scope, survey
from rollout.plan.base import seconds
from rollout.plan.gate import TemplateSpec
from rollout.plan.kinds import JOB, POD, REPLICASET
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.program import Adoption, UnitName
from rollout.plan.strategy import MeshFacts, UnitFact
from rollout.ports.mesh import Because, Carrier, Mesh, MeshView, Unit
from rollout.ports.world import World

HOUR: Final = 3600.0
"""Seconds of traffic that are looked at, where the plan names no window."""
_BARE: Final = (POD, JOB, REPLICASET)
"""Whose pods nobody makes anew when the template changes."""
_WIDE: Final = ("default", "mesh", "namespace")
"""Settings that are not one workload's own."""


async def mesh_facts(
    world: World, mesh: Mesh, plan: MeshAdoptionPlan, run: str, templates: Mapping[str, TemplateSpec]
) -> MeshFacts:
    """Look once at the namespace of a plan.

    Raises:
        Unsupported: the mesh's kinds are not served here.
        Forbidden: the workloads may not be read.
    """
    spec, namespace = plan.spec, plan.metadata.namespace
    home = spec.mesh.namespace or mesh.home
    shadow = spec.stages.shadow_strict
    window = seconds(shadow.window) if shadow else HOUR
    found = await survey(world, mesh, Scope(namespace, home, window, spec.analysis.provider), world.schedules)
    seen = scene(mesh, found)
    adoption = Adoption(namespace, run, mesh.name, spec.mesh.namespace or "", spec.mesh.revision)
    views = [seen.view(unit) for unit in found.units]
    return MeshFacts(
        run=run,
        units=tuple(_fact(unit, seen) for unit in found.units),
        guards=mesh.guards(adoption, spec.analysis.labels, spec.analysis.provider),
        templates=templates,
        namespace_enrolled=any(view.next.because is Because.NAMESPACE for view in views),
        mode=_mode(views),
    )


def _fact(unit: Unit, seen: Scene) -> UnitFact:
    view, table = seen.view(unit), seen.survey.timetables.get(unit.ref)
    requests = sum(edge.amount for edge in seen.inbound(unit) if edge.protocol != "tcp")
    ports = {port["containerPort"] for it in unit.containers for port in it.get("ports") or ()}
    return UnitFact(
        unit=name_of(unit),
        meshed=_meshed(view),
        serves=seen.serves(unit),
        pods=max(len(unit.pods), 1),
        ports=tuple(sorted(ports)),
        labels=unit.labels,
        callers=tuple(_callers(unit, seen)),
        requests=requests / seen.survey.traffic.window if seen.survey.traffic.window else 0.0,
        narrow=view.mtls.narrow is not None,
        bare=unit.kind in _BARE,
        longest_pause=table.longest if table else 0.0,
    )


def _meshed(view: MeshView) -> bool:
    """Whether all that it has is in the mesh; pods without a ready proxy are not."""
    return view.meshed and all(it.carrier is not Carrier.NONE and it.ready for it in view.proxies)


def _callers(unit: Unit, seen: Scene) -> Iterable[UnitName]:
    """Workloads of the namespace that were seen to call it, and those whose template names it."""
    called = (seen.units.get((edge.source.namespace, edge.source.name)) for edge in seen.inbound(unit))
    named = (it for it in seen.plain if it is not unit and seen.mention(it, unit))
    found = [name_of(it) for it in (*called, *named) if it is not None and it.namespace == unit.namespace]
    return dict.fromkeys(found)


def _mode(views: Iterable[MeshView]) -> Literal["DISABLE", "PERMISSIVE", "STRICT"]:
    """What counts for the namespace, by the workloads that have no setting of their own."""
    wide = (view.mtls.workload for view in views if view.mtls.workload.scope in _WIDE)
    first = next(wide, None)
    return "PERMISSIVE" if first is None else first.mode.value
