"""The strategy protocol: a strategy is a compiler from a plan to a program, and nothing else.

It is found by the entry point group `rollout.strategies`.  It sees the plan and a few facts, never the cluster; it
runs before a run starts, never inside the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rollout.plan.gate import TemplateSpec
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan
from rollout.plan.program import Gate, Program, UnitName


@dataclass(frozen=True, slots=True)
class Facts:
    """What a compiler may know about the world. The defaults serve `rollout plan FILE` without a cluster."""

    run: str = "preview"
    """The run's name."""
    stable_hash: str = ""
    """pod-template-hash of the stable ReplicaSet."""
    hold_mode: Literal["policy", "paused"] = "paused"
    templates: Mapping[str, TemplateSpec] = field(default_factory=dict)
    """The namespace's MetricTemplates by name."""


@dataclass(frozen=True, slots=True)
class UnitFact:
    """One workload of the namespace, as the mesh has it before the run."""

    unit: UnitName
    meshed: bool = False
    """All its pods have a ready proxy already."""
    serves: bool = True
    """Somebody calls it, or could."""
    pods: int = 1
    ports: tuple[int, ...] = ()
    """Its container ports."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of its pods, by the template; selectors of policies are matched with them."""
    callers: tuple[UnitName, ...] = ()
    """Workloads of the namespace that were seen to call it, or name it in their template."""
    requests: float = 0.0
    """Per second, in the window that was looked at."""
    narrow: bool = False
    """A policy of its owner's selects it: its mode is set there, and stays there."""
    bare: bool = False
    """Nothing makes its pods anew (a Pod of nobody, a running Job): its template cannot be changed."""
    longest_pause: float = 0.0
    """Seconds between two runs of a CronJob, at most."""


class Guards(Protocol):
    """What a mesh's metrics can watch over while a namespace changes; pure: it only writes questions.

    Each returns gates whose names are unique within one call; `window` is in seconds.
    """

    def always(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        """For any stage: success and latency of a unit, or of the namespace."""
        ...

    def locked(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        """For stages that lock out: volume, failures that callers see, connections, 403s; silence is failure."""
        ...

    def shadow(
        self, unit: UnitName | None, window: float, every: float, left_open: Mapping[UnitName, tuple[int, ...]]
    ) -> tuple[Gate, ...]:
        """Nothing that STRICT would refuse in the window; but for what comes to container ports that are left open."""
        ...

    def shadow_policies(self, unit: UnitName, window: float, every: float) -> tuple[Gate, ...]:
        """Nothing that the policies under trial would refuse in the window."""
        ...

    def cost(self, unit: UnitName, cores: float | None, memory: float | None, every: float) -> tuple[Gate, ...]:
        """CPU (cores) and memory (bytes) of the proxies within a budget, per pod."""
        ...


@dataclass(frozen=True, slots=True)
class MeshFacts:
    """What a compiler of an adoption may know about the world."""

    run: str = "preview"
    units: tuple[UnitFact, ...] = ()
    guards: Guards | None = None
    """None: without a cluster nobody knows the mesh; steps have no gates then."""
    templates: Mapping[str, TemplateSpec] = field(default_factory=dict)
    namespace_enrolled: bool = False
    """The namespace asks for proxies already."""
    mode: Literal["DISABLE", "PERMISSIVE", "STRICT"] = "PERMISSIVE"
    """What counts for the namespace."""


class AdoptionStrategy(Protocol):
    """Compiles plans of adoption."""

    name: str

    def compile(self, plan: MeshAdoptionPlan, facts: MeshFacts) -> Program:
        """The program for one run.

        Raises:
            InvalidInput: the plan cannot be compiled; says which field and what to do.
        """
        ...


class Strategy(Protocol):
    """Compiles plans."""

    name: str

    def compile(self, plan: CanaryPlan, facts: Facts) -> Program:
        """The program for one run.

        Raises:
            InvalidInput: the plan cannot be compiled; says which field and what to do.
        """
        ...
