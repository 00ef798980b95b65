"""What rules about plans of adoption are asked about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rollout.plan.adoption import AdoptionSpec, Stage, Stages
from rollout.plan.gate import Gate
from rollout.plan.lint.rule import Known, Rulebook
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.written import Manifest


@dataclass(frozen=True, slots=True)
class Adopted:
    """A plan of adoption under lint."""

    plan: MeshAdoptionPlan
    known: Known

    @property
    def spec(self) -> AdoptionSpec:
        """The plan's spec."""
        return self.plan.spec

    @property
    def stages(self) -> Mapping[str, Stage]:
        """The stages that are written, by their paths."""
        given = ((info.alias or name, getattr(self.spec.stages, name)) for name, info in Stages.model_fields.items())
        return {f"spec.stages.{name}": stage for name, stage in given if stage is not None}

    @property
    def gates(self) -> Mapping[str, tuple[Gate, ...]]:
        """Its lists of gates."""
        own = {f"{path}.gates": stage.gates for path, stage in self.stages.items() if stage.gates is not None}
        return {"spec.analysis.gates": self.spec.analysis.gates} | own

    def manifests(self) -> Iterator[tuple[str, Manifest]]:
        """Every manifest in it with its path."""
        stages = self.spec.stages
        lists = {
            "spec.stages.traffic.apply": stages.traffic.apply if stages.traffic else (),
            "spec.stages.authorize.policies": stages.authorize.policies if stages.authorize else (),
        }
        for path, given in lists.items():
            yield from ((f"{path}[{index}]", it) for index, it in enumerate(given))


ADOPTIONS: Final = Rulebook[Adopted]()
"""The rules about plans of adoption."""
rule = ADOPTIONS.rule
