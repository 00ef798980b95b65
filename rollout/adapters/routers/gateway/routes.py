"""Where destinations, parents and mirrors are in a route."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rollout.adapters.routers.parts.spots import home_of
from rollout.adapters.routers.services.sides import Place
from rollout.plan.base import Json
from rollout.plan.program import Backends

CORE: Final = ("", "core")
"""How references name the group of Services: the API's way, and Linkerd's."""


def destination(entry: Json, home: str) -> Place | None:
    """The Service that a reference names; the defaults are those of the API."""
    if entry.get("group", "") not in CORE or entry.get("kind", "Service") != "Service":
        return None
    return Place(entry.get("namespace") or home, entry["name"])


def moved(entry: Json, place: Place, home: str) -> Json:
    """The reference at another Service; it says a namespace only where it has to, or did."""
    rest = {**entry, "name": place.name}
    if (entry.get("namespace") or home) == place.namespace:
        return rest
    rest.pop("namespace", None)
    return rest if place.namespace in ("", home) else {**rest, "namespace": place.namespace}


def service_parents(obj: Json, backends: Backends) -> Iterator[Json]:
    """The parents of a route that are the Service: it speaks for callers inside the mesh."""
    home = home_of(obj)
    for parent in obj["spec"].get("parentRefs") or ():
        service = parent.get("kind") == "Service" and parent.get("group") in CORE
        if service and (parent.get("namespace") or home, parent["name"]) == (backends.namespace, backends.service):
            yield parent


def ports_answered(routes: Iterable[Json], backends: Backends) -> set[int | None]:
    """The ports of the Service that routes of its own namespace speak for; None stands for all of them."""
    here = (obj for obj in routes if home_of(obj) == backends.namespace)
    return {parent.get("port") for obj in here for parent in service_parents(obj, backends)}


def mirrors(obj: Json) -> Iterator[tuple[str, Json]]:
    """The Services that get copies of requests, with the place of the filter below `spec`."""
    for index, rule in enumerate(obj["spec"].get("rules") or ()):
        filters = [*(rule.get("filters") or ())]
        for entry in rule.get("backendRefs") or ():
            filters += entry.get("filters") or ()
        for one in filters:
            if mirror := (one.get("requestMirror") or {}).get("backendRef"):
                yield f"rules[{index}]", mirror


def concerned(obj: Json) -> frozenset[str]:
    """The Services that a route names anywhere, and its own name, so that whoever is about to make one finds it."""
    home, spec = home_of(obj), obj["spec"]
    entries = [entry for rule in spec.get("rules") or () for entry in rule.get("backendRefs") or ()]
    parents = [it for it in spec.get("parentRefs") or () if it.get("kind") == "Service"]
    named = [*entries, *parents, *(mirror for _, mirror in mirrors(obj))]
    places = {f"{it['name']}.{it.get('namespace') or home}" for it in named}
    return frozenset({f"{obj['metadata']['name']}.{home}", *places})
