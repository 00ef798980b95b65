"""What the writing half stands on: a stage with its survey, and what an instruction finds there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rollout.adapters.mesh.istio import controlplane
from rollout.adapters.mesh.istio.lines import Aim
from rollout.adapters.mesh.istio.survey import Survey
from rollout.decide.seen import Trouble
from rollout.plan.base import Json
from rollout.plan.kinds import POD, Kind, Ref
from rollout.plan.program import UnitName
from rollout.ports.mesh import ControlPlane, Stage, Unit


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an instruction takes: nothing, when it is done."""

    aims: tuple[Aim, ...] = ()
    """In the order in which they are written."""
    waits: str = ""
    """What is still missing when they are met, for people."""
    trouble: Trouble | None = None
    """Nothing is written as long as there is any."""


class Ground:
    """A stage, and what can be told of it."""

    def __init__(self, stage: Stage, home: str) -> None:
        self.stage = stage
        self.namespace = stage.adoption.namespace
        self.revision = stage.adoption.revision
        self._home = stage.adoption.home or home

    @cached_property
    def survey(self) -> Survey:
        """What the other half tells of it."""
        return Survey(self.stage.objects, self._home)

    @cached_property
    def planes(self) -> tuple[ControlPlane, ...]:
        """The control planes."""
        return controlplane.planes(self.stage.objects)

    def sees(self, kind: Kind) -> bool:
        """Whether objects of a kind could be read."""
        return kind == POD or kind in self.stage.objects or any(it.kind == kind for it in self.stage.units.values())

    def find(self, ref: Ref) -> Json | None:
        """An object; None when there is none. Only for kinds that it `sees`."""
        if ref.kind == POD:
            return next((it for it in self._pods if it["metadata"]["name"] == ref.name), None)
        unit = self.unit(ref)
        if unit is not None:
            return unit.raw
        for obj in self.stage.objects.get(ref.kind, ()):
            if (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) == (ref.namespace, ref.name):
                return obj
        return None

    def unit(self, ref: Ref) -> Unit | None:
        """The workload of a name, if it is one."""
        found = self.stage.units.get(UnitName(ref.kind.name, ref.name))
        return found if found is not None and found.ref == ref else None

    def aim(self, ref: Ref, what: str, wanted: Mapping[str, Any], beside: tuple[Json, ...] = ()) -> Aim:
        """How an object of the stage shall be."""
        return Aim(ref, what, self.find(ref), dict(wanted), beside)

    @property
    def _pods(self) -> list[Json]:
        return [pod for unit in self.stage.units.values() for pod in unit.pods]


def blocked(reason: str, message: str) -> Trouble:
    """Somebody else has to act."""
    return Trouble("blocked", reason, message)


def broken(reason: str, message: str) -> Trouble:
    """What was done is bad."""
    return Trouble("broken", reason, message)
