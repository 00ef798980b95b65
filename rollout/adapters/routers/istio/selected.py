"""Which pods requests find: those that the Service selects, and the owner's subset that the route names, if any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollout.adapters.routers.istio.made import service_of
from rollout.adapters.routers.istio.routes import routings, traffic_only
from rollout.adapters.routers.istio.rule import owners_subsets
from rollout.adapters.routers.istio.subsets import Names
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


def service_selector(backends: Backends, objects: Objects) -> Selector:
    """Whom the Service selects."""
    service = service_of(backends, objects)
    return Selector(f"Service/{backends.service}", (service or {"spec": {}})["spec"].get("selector") or {})


def subset_selectors(backends: Backends, objects: Objects) -> list[Selector]:
    """Whom the owner's subsets select that have a share of the requests today; one without labels for none named."""
    names = Names(backends.run)
    theirs = {names.tail(name): subset for name, subset in owners_subsets(backends, objects).items()}
    tails = {
        share.tail
        for routing in routings(backends, objects)
        for spot in routing.steered
        for share in spot.shares
        if share.state != "foreign" and share.weight
    }
    named = [(tail, theirs[tail]) for tail in sorted(tails) if tail in theirs]
    found = [Selector(f"subset {subset['name']}", subset.get("labels") or {}) for _, subset in named]
    return [Selector("the route"), *found] if not tails or "" in tails else found


def unreached(backends: Backends, objects: Objects, pods: Sequence[Labels]) -> list[str]:
    """For each pod, why requests do not find it; empty where they do."""
    if traffic_only(backends):
        return ["" for _ in pods]
    selectors = [service_selector(backends, objects), *subset_selectors(backends, objects)]
    return [next(_misses(selectors, pod), "") for pod in pods]


def _misses(selectors: Sequence[Selector], pod: Labels) -> Iterator[str]:
    for selector in selectors:
        lacking = selector.lacking(pod)
        if lacking:
            yield f"{selector.where} selects {spelled(lacking)}, and its pods have {_instead(lacking, pod)}"


def spelled(labels: Mapping[str, str]) -> str:
    """`a=b, c=d`."""
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _instead(lacking: Mapping[str, str], pod: Labels) -> str:
    return ", ".join(f"{key}={pod[key]}" if key in pod else f"no {key}" for key in sorted(lacking))
