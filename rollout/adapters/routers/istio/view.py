"""What the routes say now, and where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rollout.adapters.routers.istio import mirrored
from rollout.adapters.routers.istio.made import export_ops, find_made, is_missing, made_ref
from rollout.adapters.routers.istio.matched import drift, present
from rollout.adapters.routers.istio.routes import names_ours, own_subsets, owned, routings
from rollout.adapters.routers.istio.rule import find_rule, rule_ref, wanted_spec
from rollout.adapters.routers.parts import reading
from rollout.adapters.routers.parts.spots import Routing, title, traffic_only
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects, RouteView


def look(backends: Backends, objects: Objects) -> RouteView:
    """The view; see `ports.router.RouteView`."""
    found = routings(backends, objects)
    if traffic_only(backends):
        return reading.look(backends, found, (), (), own=False)
    left = _leftovers(backends, objects)
    if not _ours_anywhere(backends, objects):
        return RouteView("home", leftovers=left)
    copies = any(present(routing.obj, backends) for routing in found)
    askew = drift(found, own_subsets(backends, objects), backends) if copies else ()
    copied = mirrored.percent(found, backends)
    uneven = mirrored.drift(found, backends, copied)
    beside = [*_beside_routes(backends, objects, found), *askew, *uneven]
    return replace(reading.look(backends, found, beside, left, own=True), matched=copies, mirrored=copied)


def _ours_anywhere(backends: Backends, objects: Objects) -> bool:
    return any(names_ours(obj, backends) for obj in objects.get(VIRTUAL_SERVICE, ()))


def _beside_routes(backends: Backends, objects: Objects, found: Sequence[Routing]) -> list[str]:
    """What is wrong although each route may be right: a route or the subsets missing."""
    told: list[str] = []
    if is_missing(backends, objects):
        told.append(f"{title(made_ref(backends), backends)}: should exist, but callers in the mesh have no split route")
    made = find_made(backends, objects)
    if made is not None and export_ops(backends, objects, made):
        told.append(f"{title(made_ref(backends), backends)}: should be seen where your own rule is, but is not")
    rule = find_rule(backends, objects)
    if rule is None or not owned(rule, backends):
        told.append(f"{title(rule_ref(backends), backends)}: should exist, but the subsets that routes name are gone")
    elif rule["spec"] != wanted_spec(backends, objects, found):
        told.append(
            f"{title(rule_ref(backends), backends)}: its subsets should follow the pods and your own rule, but differ"
        )
    return told


def _leftovers(backends: Backends, objects: Objects) -> tuple[Ref, ...]:
    rule = find_rule(backends, objects)
    left = (rule_ref(backends),) if rule is not None and owned(rule, backends) else ()
    return (made_ref(backends), *left) if find_made(backends, objects) else left
