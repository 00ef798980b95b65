"""Findings about VirtualServices: which of them decide, and what goes past the split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollout.adapters.routers.istio.hosts import home_of, is_service, is_wildcard
from rollout.adapters.routers.istio.made import answers, seen_from
from rollout.adapters.routers.istio.routes import Routing, in_scope, owned, ref, routings, title
from rollout.adapters.routers.istio.shares import fraction
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects

_ARGO: Final = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")
_FLUX: Final = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")
_FLUX_IGNORED: Final = {
    "kustomize.toolkit.fluxcd.io/reconcile": {"disabled"},
    "kustomize.toolkit.fluxcd.io/ssa": {"ignore", "ifnotpresent"},
}


def find(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """All of them."""
    found = routings(backends, objects)
    yield from _named(backends, objects, found)
    yield from _answering(backends, objects, found)
    for routing in found:
        if not owned(routing.obj, backends):
            yield from _loose(routing, backends)
            yield from _managed(routing, backends)
    for obj in in_scope(backends, objects):
        yield from _mirrored(obj, backends)


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
    for index, route in enumerate(obj["spec"].get("http") or ()):
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


def _managed(routing: Routing, backends: Backends) -> Iterator[Finding]:
    meta = routing.obj["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    ignored = any(str(marks.get(key, "")).lower() in values for key, values in _FLUX_IGNORED.items())
    tools = [
        ("Argo CD", any(key in marks for key in _ARGO)),
        ("Flux", any(key in marks for key in _FLUX) and not ignored),
    ]
    where = title(routing.ref, backends)
    for tool, manages in tools:
        if manages:
            fix = (
                "let the Application ignore `.spec.http[].route` (jqPathExpressions) with RespectIgnoreDifferences=true"
                if tool == "Argo CD"
                else "let the Kustomization ignore the routes, or suspend it while the run lasts"
            )
            yield Finding(
                "RO315",
                Level.WARNING,
                f"{tool} manages {where} and may put its routes back at the next sync; `router.drift` then decides",
                where,
                fix,
            )
