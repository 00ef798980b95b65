"""Findings about VirtualServices: which of them decide, and what goes past the split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollout.adapters.routers.istio.hosts import is_service, is_wildcard
from rollout.adapters.routers.istio.made import answers, seen_from
from rollout.adapters.routers.istio.mirrored import busy, without
from rollout.adapters.routers.istio.routes import in_scope, owned, routings
from rollout.adapters.routers.parts.findings import managed
from rollout.adapters.routers.parts.shares import fraction
from rollout.adapters.routers.parts.spots import Routing, home_of, ref, title
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects


def find(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """All of them."""
    found = routings(backends, objects)
    yield from _named(backends, objects, found)
    yield from _answering(backends, objects, found)
    for routing in found:
        if not owned(routing.obj, backends):
            yield from _loose(routing, backends)
            # rules for chosen requests come and go, and with them the places of all others; copies are no destinations
            whole = backends.matches or backends.mirror
            yield from managed(routing, backends, ".spec.http" if whole else ".spec.http[].route")
    for obj in in_scope(backends, objects):
        yield from _mirrored(obj, backends)
    if backends.mirror:
        yield from _no_copies(backends, found)


def _named(backends: Backends, objects: Objects, found: list[Routing]) -> Iterator[Finding]:
    present = {ref(VIRTUAL_SERVICE, obj) for obj in objects.get(VIRTUAL_SERVICE, ())}
    steered = {routing.ref for routing in found}
    for name in backends.virtual_services:
        its = Ref(VIRTUAL_SERVICE, backends.namespace, name)
        if its not in present:
            message = f"the plan names VirtualService/{name}, which does not exist: its traffic would not be split"
        elif its not in steered:
            message = f"the plan names VirtualService/{name}, which has no route to {backends.service} to split"
        else:
            continue
        yield Finding(
            "RO312", Level.ERROR, message, "router.virtualServices", "create it, or correct the name in the plan"
        )


def _answering(backends: Backends, objects: Objects, found: list[Routing]) -> Iterator[Finding]:
    """Who decides for callers in the mesh."""
    callers = seen_from(backends, objects)
    exact = [
        obj
        for obj in objects.get(VIRTUAL_SERVICE, ())
        if answers(obj, backends, callers)
        and not owned(obj, backends)
        and any(is_service(host, home_of(obj), backends) for host in obj["spec"].get("hosts") or ())
    ]
    if len(exact) > 1:
        names = ", ".join(title(ref(VIRTUAL_SERVICE, obj), backends) for obj in exact)
        yield Finding(
            "RO310",
            Level.ERROR,
            f"{names} all answer for host {backends.service} in the mesh: Istio follows one and ignores the others",
            names,
            "put their routes together in one VirtualService",
        )
    if backends.virtual_services:
        return
    if found and all(fraction(spot.shares) is None for routing in found for spot in routing.steered):
        where = ", ".join(title(routing.ref, backends) for routing in found)
        yield Finding(
            "RO311",
            Level.ERROR,
            f"{where} gives {backends.service} weight 0 everywhere: there is no traffic to split",
            where,
            "give the Service a share in one route",
        )
    steered = {routing.ref for routing in found}
    delegates = any(_delegates(obj) for obj in exact)
    for obj in exact:
        its = ref(VIRTUAL_SERVICE, obj)
        if its not in steered and not (delegates and steered):
            where = title(its, backends)
            yield Finding(
                "RO311",
                Level.ERROR,
                f"{where} answers for host {backends.service}, but none of its routes goes to that Service: the "
                "candidate would get no share",
                where,
                "add a route to the Service, or name the right service in the plan",
            )


def _delegates(obj: Json) -> bool:
    return any("delegate" in route for route in obj["spec"].get("http") or ())


def _loose(routing: Routing, backends: Backends) -> Iterator[Finding]:
    spec = routing.obj["spec"]
    where = title(routing.ref, backends)
    wild = [host for host in spec.get("hosts") or () if is_wildcard(host)]
    regex = [str(spot) for spot in routing.steered if _has_regex(spot.route.get("match") or ())]
    for what in ([f"host {', '.join(wild)}"] if wild else []) + (
        [f"a regular expression in {', '.join(regex)}"] if regex else []
    ):
        yield Finding(
            "RO313",
            Level.WARNING,
            f"{where} reaches {backends.service} through {what}: whatever else matches is split as well",
            where,
            "check that every request that matches is meant for the Service",
        )


def _has_regex(matches: Any) -> bool:
    if isinstance(matches, Mapping):
        return "regex" in matches or any(_has_regex(value) for value in matches.values())
    return isinstance(matches, list) and any(_has_regex(item) for item in matches)


def _mirrored(obj: Json, backends: Backends) -> Iterator[Finding]:
    home = home_of(obj)
    where = title(ref(VIRTUAL_SERVICE, obj), backends)
    for index, said in enumerate(obj["spec"].get("http") or ()):
        route = without(said, home, backends)
        mirrors = [route.get("mirror"), *(mirror.get("destination") for mirror in route.get("mirrors") or ())]
        if any(mirror and is_service(mirror["host"], home, backends) for mirror in mirrors):
            yield Finding(
                "RO314",
                Level.WARNING,
                f"{where} mirrors requests to {backends.service} in http[{index}]: copies are not split by weight and "
                "reach candidate pods from their start",
                f"{where} spec.http[{index}]",
                "point the mirror at a subset of stable pods, or accept it",
            )


def _no_copies(backends: Backends, found: list[Routing]) -> Iterator[Finding]:
    """Why requests cannot be copied."""
    spots = [(routing, spot) for routing in found for spot in routing.steered if spot.section == "http"]
    if found and not spots:
        text = f"{backends.service} has no HTTP route: connections are not copied"
        yield Finding("RO329", Level.ERROR, text, "steps", "take mirror out of the steps, or give it an HTTP route")
    for routing, spot in spots:
        if busy(spot.route):
            where = f"{title(routing.ref, backends)} spec.{spot.where}"
            text = f"{title(routing.ref, backends)} copies requests by `mirror` in {spot}, which allows no second copy"
            yield Finding("RO328", Level.ERROR, text, where, "write it as an entry of `mirrors`, which is a list")
