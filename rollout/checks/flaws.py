"""What lint finds in a plan that comes past it: from Git, or from `kubectl apply`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rollout.errors import InvalidInput
from rollout.plan import lint
from rollout.plan.finding import Finding, Level
from rollout.plan.gate import TemplateSpec
from rollout.plan.located import live
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan
from rollout.ports.world import World

_TOLD: Final = 3
"""So many are told; the rest is told when these are mended."""


def refuse_flawed(world: World, plan: CanaryPlan | MeshAdoptionPlan, templates: Mapping[str, TemplateSpec]) -> None:
    """See that no lint error speaks against the plan; `templates` are those of its namespace.

    Raises:
        InvalidInput: which rules it breaks, where, and what to do.
    """
    found = lint.lint([live(plan)], _known(world, templates))
    errors = [it for it in found if it.level is Level.ERROR]
    if errors:
        more = f"; and {len(errors) - _TOLD} more: rollout lint" if len(errors) > _TOLD else ""
        raise InvalidInput("; ".join(_spell(it) for it in errors[:_TOLD]) + more)


def _known(world: World, templates: Mapping[str, TemplateSpec]) -> lint.Known:
    """What this installation can do."""
    return lint.Known(
        routers={name: frozenset(it.value for it in router.features) for name, router in world.routers.items()},
        strategies=frozenset(world.strategies),
        templates=templates,
        compilers=frozenset(world.compilers),
        meshes={name: frozenset(it.capabilities) for name, it in world.meshes.items()},
    )


def _spell(finding: Finding) -> str:
    """`RO101 spec.steps[1].weight: 10 comes after 50 (sort the steps)`."""
    path = finding.path or finding.where.partition(" ")[2]
    return f"{finding.code} {path}: {finding.message}" + (f" ({finding.fix})" if finding.fix else "")
