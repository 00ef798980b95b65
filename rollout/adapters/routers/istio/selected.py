"""Which pods requests find: those that the Service selects, and the owner's subset that the route names, if any."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.adapters.routers.istio.routes import routings
from rollout.adapters.routers.istio.rule import owners_subsets
from rollout.adapters.routers.parts import selected
from rollout.adapters.routers.parts.names import Names
from rollout.adapters.routers.parts.selected import Selector, service_selector
from rollout.adapters.routers.parts.spots import traffic_only
from rollout.plan.program import Backends
from rollout.ports.router import Labels, Objects


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
    return selected.unreached([service_selector(backends, objects), *subset_selectors(backends, objects)], pods)
