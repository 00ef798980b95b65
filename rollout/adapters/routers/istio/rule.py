"""Our DestinationRule: the subsets that pick stable's and the candidate's pods.

Istio merges it with the owner's rule for the same host in the same namespace (same `exportTo`), so it inherits his
traffic policy and needs none of its own.  Where the owner has no such rule, ours would take the place of a wider one
(a wildcard, or one in the root namespace): then it carries that rule's policy and subsets along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rollout.adapters.istiod import root_namespace
from rollout.adapters.routers.istio.hosts import covers, is_service, is_wildcard, seen_only_at_home
from rollout.adapters.routers.istio.routes import owned
from rollout.adapters.routers.parts.names import Names, Role
from rollout.adapters.routers.parts.spots import Routing, home_of
from rollout.plan.base import Json
from rollout.plan.kinds import DESTINATION_RULE, Ref
from rollout.plan.program import Backends, Side
from rollout.ports.router import Objects


def rule_ref(backends: Backends) -> Ref:
    """The name of our rule."""
    return Ref(DESTINATION_RULE, backends.namespace, backends.run)


def find_rule(backends: Backends, objects: Objects) -> Json | None:
    """Our rule, or whatever else has its name."""
    name = (backends.namespace, backends.run)
    rules = objects.get(DESTINATION_RULE, ())
    return next((rule for rule in rules if (home_of(rule), rule["metadata"]["name"]) == name), None)


def _age(rule: Json) -> tuple[str, str]:
    return rule["metadata"].get("creationTimestamp") or "", rule["metadata"]["name"]


def owners_rules(backends: Backends, objects: Objects) -> list[Json]:
    """The owner's rules for exactly this host next to the Service, oldest first, as Istio merges them."""
    found = [
        rule
        for rule in objects.get(DESTINATION_RULE, ())
        if home_of(rule) == backends.namespace
        and not owned(rule, backends)
        and not rule["spec"].get("workloadSelector")
        and is_service(rule["spec"]["host"], home_of(rule), backends)
    ]
    return sorted(found, key=_age)


def displaced_rule(backends: Backends, objects: Objects) -> Json | None:
    """The wider rule whose place ours would take: a wildcard here, or any exported one in the root namespace."""
    if owners_rules(backends, objects):
        return None
    root = root_namespace(objects)
    wider = [
        rule
        for rule in objects.get(DESTINATION_RULE, ())
        if not owned(rule, backends)
        and not rule["spec"].get("workloadSelector")
        and covers(rule["spec"]["host"], home_of(rule), backends)
        and (home_of(rule) == backends.namespace or (home_of(rule) == root and not seen_only_at_home(rule)))
    ]
    return min(wider, key=lambda rule: _nearness(rule, backends), default=None)


def _nearness(rule: Json, backends: Backends) -> tuple[bool, bool, int, tuple[str, str]]:
    host = rule["spec"]["host"]
    return home_of(rule) != backends.namespace, is_wildcard(host), -len(host), _age(rule)


def owners_subsets(backends: Backends, objects: Objects) -> dict[str, Json]:
    """The owner's subsets of the host by name; the first one of a name counts."""
    displaced = displaced_rule(backends, objects)
    rules = [*owners_rules(backends, objects), *([displaced] if displaced else [])]
    found: dict[str, Json] = {}
    for rule in rules:
        for subset in rule["spec"].get("subsets") or ():
            found.setdefault(subset["name"], subset)
    return found


def export_of(backends: Backends, objects: Objects) -> list[str]:
    """The `exportTo` of our rule: only with that of the owner's rule do the two merge. Empty for all namespaces."""
    rules = owners_rules(backends, objects)
    export = rules[0] if rules else displaced_rule(backends, objects)
    if export is None or home_of(export) != backends.namespace:
        return []
    return list(export["spec"].get("exportTo") or ())


def tails_named(routings: Iterable[Routing]) -> set[str]:
    """The tails of the subsets that steering these routes needs."""
    return {
        share.tail for found in routings for spot in found.steered for share in spot.shares if share.state != "foreign"
    }


def wanted_spec(backends: Backends, objects: Objects, routings: Iterable[Routing]) -> Json:
    """The spec that our rule should have now. Subsets that it has already stay while the run lasts."""
    names = Names(backends.run)
    current = find_rule(backends, objects)
    present = (names.read(subset["name"]) for subset in (current or {"spec": {}})["spec"].get("subsets") or ())
    tails = {""} | tails_named(routings) | {name[1] for name in present if name}
    theirs = {names.tail(name): subset for name, subset in owners_subsets(backends, objects).items()}
    displaced = displaced_rule(backends, objects)
    spec: Json = {"host": backends.service}
    if export := export_of(backends, objects):
        spec["exportTo"] = export
    if displaced and displaced["spec"].get("trafficPolicy"):
        spec["trafficPolicy"] = displaced["spec"]["trafficPolicy"]
    carried = (displaced or {"spec": {}})["spec"].get("subsets") or []
    spec["subsets"] = [*carried, *_our_subsets(backends, names, sorted(tails), theirs)]
    return spec


def _our_subsets(backends: Backends, names: Names, tails: list[str], theirs: Mapping[str, Json]) -> list[Json]:
    sides: list[tuple[Role, Side]] = [("stable", backends.stable), ("canary", backends.candidate)]
    return [_subset(names.subset(role, tail), side, theirs.get(tail, {})) for tail in tails for role, side in sides]


def _subset(name: str, side: Side, theirs: Mapping[str, Any]) -> Json:
    """A subset of ours that keeps the labels and the policy of the owner's that it stands for."""
    subset: Json = {"name": name, "labels": {**(theirs.get("labels") or {}), **side.labels}}
    if theirs.get("trafficPolicy"):
        subset["trafficPolicy"] = theirs["trafficPolicy"]
    return subset
