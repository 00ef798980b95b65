"""Which pods requests find: those that all selectors on their way select."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollout.adapters.routers.parts.spots import home_of
from rollout.plan.base import Json
from rollout.plan.kinds import SERVICE
from rollout.plan.program import Backends
from rollout.ports.router import Labels, Objects


@dataclass(frozen=True, slots=True)
class Selector:
    """One selection of pods, and who says so."""

    where: str
    labels: Labels = field(default_factory=dict)

    def lacking(self, pod: Labels) -> dict[str, str]:
        """The labels that a pod needs and has not."""
        return {key: value for key, value in self.labels.items() if pod.get(key) != value}


def service_of(backends: Backends, objects: Objects) -> Json | None:
    """The Service whose traffic is split."""
    name = (backends.namespace, backends.service)
    return next((s for s in objects.get(SERVICE, ()) if (home_of(s), s["metadata"]["name"]) == name), None)


def service_selector(backends: Backends, objects: Objects) -> Selector:
    """Whom the Service selects."""
    service = service_of(backends, objects)
    return Selector(f"Service/{backends.service}", (service or {"spec": {}})["spec"].get("selector") or {})


def unreached(selectors: Sequence[Selector], pods: Sequence[Labels]) -> list[str]:
    """For each pod, why requests do not find it; empty where they do."""
    return [next(_misses(selectors, pod), "") for pod in pods]


def spelled(labels: Mapping[str, str]) -> str:
    """`a=b, c=d`."""
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _misses(selectors: Sequence[Selector], pod: Labels) -> Iterator[str]:
    for selector in selectors:
        lacking = selector.lacking(pod)
        if lacking:
            yield f"{selector.where} selects {spelled(lacking)}, and its pods have {_instead(lacking, pod)}"


def _instead(lacking: Mapping[str, str], pod: Labels) -> str:
    return ", ".join(f"{key}={pod[key]}" if key in pod else f"no {key}" for key in sorted(lacking))
