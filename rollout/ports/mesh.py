"""The mesh: who carries the traffic of workloads.  A mesh driver is sans-I/O, as a router is: objects in, answers out.

It tells what is there (who has a proxy, which mTLS mode counts where, and where that comes from).  It never decides
*when* something is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.plan.base import Json
from rollout.plan.kinds import Kind


@dataclass(frozen=True, slots=True)
class Unit:
    """One workload as a mesh sees it."""

    kind: Kind
    namespace: str
    name: str
    template: Mapping[str, Any]
    """`metadata` and `spec` of the pods that it makes; those of the Pod itself for a bare one."""
    raw: Json
    pods: tuple[Json, ...]
    """Its pods that are not over, sorted by name; those that are going are among them."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name} in {self.namespace}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of its pods, by the template."""
        return (self.template.get("metadata") or {}).get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of its pods, by the template."""
        return (self.template.get("metadata") or {}).get("annotations") or {}

    @property
    def spec(self) -> Mapping[str, Any]:
        """The pod spec of the template."""
        return self.template.get("spec") or {}

    @property
    def containers(self) -> tuple[Json, ...]:
        """The containers that stay: init containers that restart always are sidecars, and count."""
        lasting = [c for c in self.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        return (*lasting, *(self.spec.get("containers") or ()))
