"""Findings about DestinationRules: what would hide our subsets, and what they inherit.

A proxy looks in its own namespace first, then in the Service's, then in the root namespace, and takes the first rule
whose host fits.  Rules merge only within one namespace, with equal `exportTo` and equal workloadSelector.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.adapters.istiod import root_namespace
from rollout.adapters.routers.istio.hosts import covers, seen_at_home, seen_only_at_home
from rollout.adapters.routers.istio.made import made_ref
from rollout.adapters.routers.istio.routes import owned, routings
from rollout.adapters.routers.istio.rule import (
    displaced_rule,
    find_rule,
    owners_rules,
    owners_subsets,
    rule_ref,
    tails_named,
)
from rollout.adapters.routers.parts.findings import taken
from rollout.adapters.routers.parts.names import Names
from rollout.adapters.routers.parts.spots import home_of, ref, title
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import DESTINATION_RULE, VIRTUAL_SERVICE
from rollout.plan.program import Backends
from rollout.ports.router import Objects


def find(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """All of them."""
    root = root_namespace(objects)
    for rule in objects.get(DESTINATION_RULE, ()):
        if not owned(rule, backends) and covers(rule["spec"]["host"], home_of(rule), backends):
            yield from _hiding(rule, backends, root)
    yield from _merging(backends, objects)
    yield from _names_taken(backends, objects)
    yield from _inherited(backends, objects)
    yield from _subsets(backends, objects)


def _hiding(rule: Json, backends: Backends, root: str) -> Iterator[Finding]:
    home = home_of(rule)
    its = title(ref(DESTINATION_RULE, rule), backends)
    if rule["spec"].get("workloadSelector"):
        yield Finding(
            "RO303",
            Level.ERROR,
            f"{its} selects workloads: the pods it selects would not see the run's subsets and answer 503",
            f"{its} spec.workloadSelector",
            "remove the workloadSelector, or move its policy to a rule without one, for the time of the run",
        )
    elif home == root and home != backends.namespace:
        if seen_only_at_home(rule):
            yield Finding(
                "RO302",
                Level.ERROR,
                f"{its} is private to the root namespace: gateways there would not see our subsets and answer 503",
                f"{its} spec.exportTo",
                "export it, or narrow its host so that it leaves the Service out",
            )
    elif home != backends.namespace and seen_at_home(rule):
        yield Finding(
            "RO301",
            Level.ERROR,
            f"{its} hides the run's subsets from the pods of namespace {home}: their requests would be answered 503",
            f"{its} spec.host",
            f"move it to namespace {backends.namespace}, or remove it for the time of the run",
        )


def _merging(backends: Backends, objects: Objects) -> Iterator[Finding]:
    rules = owners_rules(backends, objects)
    exports = {frozenset(rule["spec"].get("exportTo") or ()) for rule in rules}
    names = ", ".join(rule["metadata"]["name"] for rule in rules)
    where = f"DestinationRule/{names}"
    if len(exports) > 1:
        yield Finding(
            "RO304",
            Level.ERROR,
            f"the rules {names} for host {backends.service} have different exportTo: the run's subsets can merge with "
            "one of them only, and are hidden where another is seen",
            where,
            "give all rules for the host the same exportTo",
        )
    elif len(rules) > 1:
        yield Finding(
            "RO305",
            Level.WARNING,
            f"{len(rules)} rules for host {backends.service} ({names}): Istio takes the oldest traffic policy only",
            where,
            "put them together in one rule",
        )
    displaced = displaced_rule(backends, objects)
    if displaced is not None:
        its = title(ref(DESTINATION_RULE, displaced), backends)
        yield Finding(
            "RO306",
            Level.INFO,
            f"while the run lasts, its own rule for host {backends.service} takes the place of {its}; it carries that "
            "rule's traffic policy and subsets along",
            its,
            "nothing to do; a later change of that rule is followed",
        )


def _names_taken(backends: Backends, objects: Objects) -> Iterator[Finding]:
    names = Names(backends.run)
    rule = find_rule(backends, objects)
    if rule is not None and not owned(rule, backends):
        yield taken(str(rule_ref(backends)), f"DestinationRule/{backends.run}")
    made = made_ref(backends)
    for obj in objects.get(VIRTUAL_SERVICE, ()):
        if ref(VIRTUAL_SERVICE, obj) == made and not owned(obj, backends):
            yield taken(str(made), f"VirtualService/{backends.run}")
    for subset in owners_subsets(backends, objects):
        if names.read(subset):
            yield taken(f"subset {subset}", f"DestinationRule subset {subset}")


def _inherited(backends: Backends, objects: Objects) -> Iterator[Finding]:
    displaced = displaced_rule(backends, objects)
    for rule in [*owners_rules(backends, objects), *([displaced] if displaced else [])]:
        policies = [rule["spec"], *(rule["spec"].get("subsets") or ())]
        its = title(ref(DESTINATION_RULE, rule), backends)
        kinds = [policy.get("trafficPolicy") or {} for policy in policies]
        if any((policy.get("loadBalancer") or {}).get("consistentHash") for policy in kinds):
            yield Finding(
                "RO308",
                Level.INFO,
                f"{its} hashes consistently: requests are still split by weight, but one client may meet both versions",
                f"{its} spec.trafficPolicy.loadBalancer.consistentHash",
                "make both versions read each other's sessions",
            )
        if any(policy.get("outlierDetection") for policy in kinds):
            yield Finding(
                "RO309",
                Level.INFO,
                f"{its} ejects outliers: a candidate of one or two pods may be ejected whole, and its share fails over "
                "or fails",
                f"{its} spec.trafficPolicy.outlierDetection",
                "give the candidate more replicas, or set minHealthPercent",
            )


def _subsets(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """The owner's subsets that our subsets will stand for."""
    names = Names(backends.run)
    theirs = {names.tail(name): subset for name, subset in owners_subsets(backends, objects).items()}
    for tail in sorted(tails_named(routings(backends, objects)) - {""}):
        subset = theirs.get(tail)
        if subset is None:
            yield Finding(
                "RO316",
                Level.ERROR,
                f"a route to {backends.service} names subset {tail}, which no DestinationRule defines: that is a 503",
                f"subset {tail}",
                "define the subset, or take it out of the route",
            )
