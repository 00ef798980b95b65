"""Plans of adoption, compiled for a namespace of four workloads, with guards that tell what they were asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.parse import from_object
from rollout.plan.program import Gate, Program, QueryGate, Step, UnitName
from rollout.plan.strategy import MeshFacts, UnitFact
from strategies.mesh_adoption import MeshAdoption

WEB, DB, GATEWAY, REPORT, FTP = (
    UnitName("Deployment", "web"),
    UnitName("StatefulSet", "db"),
    UnitName("Deployment", "gateway"),
    UnitName("CronJob", "report"),
    UnitName("Deployment", "ftp"),
)


@dataclass(frozen=True)
class Recorded:
    """Guards whose gates tell what they were asked for."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def _gates(self, *names: str, about: tuple[Any, ...]) -> tuple[Gate, ...]:
        self.asked.append(about)
        return tuple(QueryGate(name, f"{about}", 15, 2, 5, min=1) for name in names)

    def always(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        return self._gates("success", "latency", about=("always", unit, every))

    def locked(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        return self._gates("volume", "refused", about=("locked", unit, every))

    def shadow(
        self, unit: UnitName | None, window: float, every: float, left_open: Mapping[UnitName, tuple[int, ...]]
    ) -> tuple[Gate, ...]:
        return self._gates("shadow", about=("shadow", unit, window, every))

    def shadow_policies(self, unit: UnitName, window: float, every: float) -> tuple[Gate, ...]:
        return self._gates("denied", about=("policies", unit, window, every))

    def cost(
        self,
        unit: UnitName,
        cores: float | None,
        bytes: float | None,  # noqa: A002
        every: float,
    ) -> tuple[Gate, ...]:
        return self._gates("cpu", "memory", about=("cost", unit, cores, bytes, every))


def unit(name: UnitName, **facts: Any) -> UnitFact:
    """A workload by its name, with a label of that name."""
    return UnitFact(name, labels={"app": name.name}, **facts)


SHOP = (
    unit(GATEWAY, serves=False),
    unit(REPORT, serves=False, longest_pause=600.0),
    unit(DB, callers=(WEB,), requests=50.0),
    unit(WEB, pods=3, callers=(GATEWAY, REPORT), requests=100.0),
)


def plan(**spec: Any) -> MeshAdoptionPlan:
    """A plan of adoption with this spec."""
    raw = {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "MeshAdoptionPlan",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": spec,
    }
    document = from_object(raw)
    assert isinstance(document, MeshAdoptionPlan)
    return document


def compiled(units: tuple[UnitFact, ...] = SHOP, facts: dict[str, Any] | None = None, **spec: Any) -> Program:
    """What a plan with this spec compiles into; `facts` are those of the mesh."""
    known: dict[str, Any] = {"run": "shop-1", "guards": Recorded()} | (facts or {})
    return MeshAdoption().compile(plan(**spec), MeshFacts(units=units, **known))


def names(program: Program) -> list[str]:
    """The steps in their order."""
    return [step.name for step in program.steps]


def step(program: Program, name: str) -> Step:
    """The step of this name."""
    return next(it for it in program.steps if it.name == name)


def gates(program: Program, name: str) -> list[str]:
    """The gates of the step of this name, in their order."""
    return [gate.name for gate in step(program, name).gates]
