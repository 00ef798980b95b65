"""The strategy protocol: a strategy is a compiler from a plan to a program, and nothing else.

It is found by the entry point group `rollout.strategies`.  It sees the plan and a few facts, never the cluster; it
runs before a run starts, never inside the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rollout.plan.gate import TemplateSpec
from rollout.plan.objects import CanaryPlan
from rollout.plan.program import Program


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


class Strategy(Protocol):
    """Compiles plans."""

    name: str

    def compile(self, plan: CanaryPlan, facts: Facts) -> Program:
        """The program for one run.

        Raises:
            InvalidInput: the plan cannot be compiled; says which field and what to do.
        """
        ...
