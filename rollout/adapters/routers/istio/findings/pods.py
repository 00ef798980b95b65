"""Findings about pods: requests must find stable's and the candidate's, and others must not lose theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.adapters.routers.istio.selected import Selector, service_selector, spelled, subset_selectors
from rollout.plan.finding import Finding, Level
from rollout.plan.program import Backends
from rollout.ports.router import Crowd, Labels, Objects

_SHOWN: Final = 3
"""So many pods are named; the rest is counted."""


def find(backends: Backends, objects: Objects, crowd: Crowd) -> Iterator[Finding]:
    """All of them."""
    service = service_selector(backends, objects)
    subsets = subset_selectors(backends, objects)
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
