"""Findings about who sees what: a caller that sees a split route and not its subsets is answered 503.

Our rule merges with the owner's only with the same `exportTo`, so it is seen where his is, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.adapters.routers.istio.hosts import beyond, reach_of
from rollout.adapters.routers.istio.made import seen_from
from rollout.adapters.routers.istio.routes import owned, routings
from rollout.adapters.routers.istio.rule import displaced_rule, owners_rules
from rollout.adapters.routers.parts.spots import home_of, ref, title
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import DESTINATION_RULE, VIRTUAL_SERVICE
from rollout.plan.program import Backends
from rollout.ports.router import Objects


def find(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """All of them; none where the owner's rule is seen by all, or where his rules disagree about that (RO304)."""
    callers = seen_from(backends, objects)
    displaced = displaced_rule(backends, objects)
    rules = [*owners_rules(backends, objects), *([displaced] if displaced else [])]
    if "*" in callers or len({reach_of(it) for it in rules}) > 1:
        return
    source = rules[0]
    rule = title(ref(DESTINATION_RULE, source), backends)
    for routing in routings(backends, objects):
        blind = frozenset() if owned(routing.obj, backends) else beyond(_followed(routing.obj, objects), callers)
        if blind:
            yield _unseen(title(routing.ref, backends), rule, blind)
    yield Finding(
        "RO319",
        Level.WARNING,
        f"{rule} is seen in {_spelled(callers)} only, and so is the split: requests from other namespaces go past it, "
        "and reach candidate pods from their start",
        f"{rule} spec.exportTo",
        "export it to every namespace that calls the Service, if there are others",
    )


def _unseen(route: str, rule: str, blind: frozenset[str]) -> Finding:
    who = "other namespaces" if "*" in blind else f"namespace {_spelled(blind)}"
    return Finding(
        "RO318",
        Level.ERROR,
        f"{route} is seen in {who}, and {rule} is not: the run's subsets have to be exported like that rule, and "
        "requests from there would be answered 503",
        f"{rule} spec.exportTo",
        f"export the rule to every namespace that sees {route} (widen spec.exportTo), or that one to fewer",
    )


def _spelled(namespaces: frozenset[str]) -> str:
    return ", ".join(sorted(namespaces)) or "no namespace"


def _followed(obj: Json, objects: Objects) -> frozenset[str]:
    """The namespaces whose callers follow the route: for a delegate, those that see who delegates to it."""
    if obj["spec"].get("hosts"):
        return reach_of(obj)
    name = (home_of(obj), obj["metadata"]["name"])
    seen = (reach_of(root) for root in objects.get(VIRTUAL_SERVICE, ()) if name in _delegates(root))
    return frozenset().union(*seen)


def _delegates(obj: Json) -> Iterator[tuple[str, str]]:
    for route in obj["spec"].get("http") or ():
        if "delegate" in route:
            yield route["delegate"].get("namespace") or home_of(obj), route["delegate"].get("name", "")
