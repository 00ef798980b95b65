"""Findings that do not depend on the router: about the Service, its pods, names, and who else writes the routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rollout.adapters.routers.parts.selected import Selector, spelled
from rollout.adapters.routers.parts.shares import fraction
from rollout.adapters.routers.parts.spots import Routing, title
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.program import Backends
from rollout.ports.router import Crowd, Labels

_SHOWN: Final = 3
"""So many pods are named; the rest is counted."""
_ARGO: Final = ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance")
_FLUX: Final = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")
_FLUX_IGNORED: Final = {
    "kustomize.toolkit.fluxcd.io/reconcile": {"disabled"},
    "kustomize.toolkit.fluxcd.io/ssa": {"ignore", "ifnotpresent"},
}


def of_service(backends: Backends, service: Json | None) -> Iterator[Finding]:
    """It has to be there, and to stand between clients and pods."""
    where = f"Service/{backends.service}"
    if service is None:
        fix = "create it, or correct `service` in the plan"
        yield Finding("RO320", Level.ERROR, f"{where} does not exist: there is no traffic to split", where, fix)
        return
    spec = service["spec"]
    selector = spec.get("selector") or {}
    if spec.get("type") == "ExternalName" or not selector:
        yield Finding(
            "RO320",
            Level.ERROR,
            f"{where} selects no pods: neither side would have any, and every request answered 503",
            f"{where} spec.selector",
            "use a Service that selects the workload's pods, or a traffic-only plan",
        )
    if spec.get("clusterIP") == "None":
        yield Finding(
            "RO321",
            Level.ERROR,
            f"{where} is headless: clients pick pods themselves, so weights do not bind them",
            f"{where} spec.clusterIP",
            "route through a Service with a cluster IP",
        )


def of_pods(backends: Backends, service: Selector, subsets: list[Selector], crowd: Crowd) -> Iterator[Finding]:
    """Requests must find stable's and the candidate's pods, and others must not lose theirs.

    `subsets`: whom the routes pick among the Service's pods; one without labels where one picks all.
    """
    sides = (("stable", backends.stable, crowd.stable), ("candidate", backends.candidate, crowd.candidate))
    for word, side, labels in sides:
        known: Labels = {**(labels or {}), **side.labels}
        lacking = _lacking(service, known, whole=labels is not None)
        if lacking:
            yield _unselected(service, word, lacking, known)
        for subset in subsets:
            yield from _subset(subset, word, known, whole=labels is not None)
    starved = [name for name, labels in crowd.others if _gets_requests(labels, service, subsets)]
    if starved:
        yield _starved(service, starved)


def _lacking(selector: Selector, known: Labels, *, whole: bool) -> dict[str, str]:
    """Labels that are surely not there: another value is, or all labels are known."""
    return {key: value for key, value in selector.lacking(known).items() if whole or key in known}


def _unselected(service: Selector, word: str, lacking: Labels, known: Labels) -> Finding:
    have = ", ".join(f"{key}={known[key]}" if key in known else f"no {key}" for key in sorted(lacking))
    return Finding(
        "RO322",
        Level.ERROR,
        f"{service.where} selects {spelled(lacking)}, but {word} pods have {have}: their subset would be empty, and "
        "their share answered 503",
        f"{service.where} spec.selector",
        f"keep {spelled(lacking)} in the pod template, or take {', '.join(sorted(lacking))} out of the selector",
    )


def _subset(subset: Selector, word: str, known: Labels, *, whole: bool) -> Iterator[Finding]:
    against = _lacking(subset, known, whole=whole)
    if not against and (word == "stable" or not subset.lacking(known)):
        return
    labels = spelled(subset.labels)
    yield Finding(
        "RO317",
        Level.ERROR if against else Level.WARNING,
        f"routes name {subset.where} ({labels}): {word} pods without these labels get no traffic, and their share is "
        "answered 503",
        subset.where,
        f"keep {labels} in the pod template of the new version"
        if word == "candidate"
        else "take that route out while the run lasts, or shift between subsets with a traffic-only plan (`traffic`)",
    )


def _gets_requests(labels: Labels, service: Selector, subsets: list[Selector]) -> bool:
    return not service.lacking(labels) and any(not subset.lacking(labels) for subset in subsets)


def _starved(service: Selector, pods: list[str]) -> Finding:
    more = f" and {len(pods) - _SHOWN} more" if len(pods) > _SHOWN else ""
    return Finding(
        "RO325",
        Level.ERROR,
        f"{service.where} leads to {len(pods)} pod(s) that are not the target's ({', '.join(pods[:_SHOWN])}{more}): "
        "the run pins requests to the target's pods, so these would get none",
        f"{service.where} spec.selector",
        "narrow the selector, or the subset that the route names, to the target's pods; to shift between versions that "
        "run side by side, write a traffic-only plan (`traffic`)",
    )


def shifted(found: Iterable[Routing], backends: Backends, candidate: str) -> Iterator[Finding]:
    """Where a traffic-only plan would begin with traffic on the candidate, which is told as `candidate`."""
    for routing in found:
        for spot in routing.steered:
            already = fraction(spot.shares)
            if already:
                where = title(routing.ref, backends)
                yield Finding(
                    "RO331",
                    Level.ERROR,
                    f"{where} gives {candidate} {already / 100:g} % already in {spot}: the way home is a route "
                    "with all traffic on stable",
                    f"{where} spec.{spot.where}",
                    "set the candidate's weight to 0 before the start",
                )


def managed(routing: Routing, backends: Backends, fields: str) -> Iterator[Finding]:
    """A GitOps tool may put routes back; `fields` is the jq path of what a run changes."""
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
                f"let the Application ignore `{fields}` (jqPathExpressions) with RespectIgnoreDifferences=true"
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


def taken(what: str, where: str) -> Finding:
    """A name that the run needs."""
    return Finding(
        "RO307",
        Level.ERROR,
        f"{what} is somebody else's and has a name that the run needs: neither could be told from the other",
        where,
        "delete or rename it",
    )
