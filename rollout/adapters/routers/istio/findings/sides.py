"""Findings about traffic-only plans: the owner's two backends have to be there."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.adapters.routers.istio.hosts import canonical, covers
from rollout.adapters.routers.istio.routes import routings
from rollout.adapters.routers.parts.findings import shifted
from rollout.adapters.routers.parts.spots import home_of
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import DESTINATION_RULE, SERVICE
from rollout.plan.program import Backends, Side
from rollout.ports.router import Objects


def find(backends: Backends, objects: Objects) -> Iterator[Finding]:
    """All of them."""
    found = routings(backends, objects)
    if not found and not backends.virtual_services:
        yield Finding(
            "RO311",
            Level.ERROR,
            f"no VirtualService routes to {_words(backends, backends.stable)}: there is nothing to shift",
            "traffic.stable",
            "write a VirtualService with a route to it",
        )
    for word, side in (("stable", backends.stable), ("candidate", backends.candidate)):
        yield from _defined(backends, objects, word, side)
    yield from shifted(found, backends, _words(backends, backends.candidate))


def _words(backends: Backends, side: Side) -> str:
    host = side.host or backends.service
    return f"subset {side.subset} of {host}" if side.subset else f"host {host}"


def _defined(backends: Backends, objects: Objects, word: str, side: Side) -> Iterator[Finding]:
    host = side.host or backends.service
    at = canonical(host, backends.namespace)
    if side.subset:
        rules = [
            rule for rule in objects.get(DESTINATION_RULE, ()) if _covers(rule["spec"]["host"], home_of(rule), at, host)
        ]
        names = {subset["name"] for rule in rules for subset in rule["spec"].get("subsets") or ()}
        if side.subset not in names:
            yield Finding(
                "RO330",
                Level.ERROR,
                f"no DestinationRule for {host} defines subset {side.subset}: requests to it would be answered 503",
                f"traffic.{word}.subset",
                f"define it, or correct the name (there is: {', '.join(sorted(names)) or 'none'})",
            )
    services = {canonical(service["metadata"]["name"], home_of(service)) for service in objects.get(SERVICE, ())}
    if at.endswith(f".{backends.namespace}") and at.count(".") == 1 and at not in services:
        yield Finding(
            "RO330",
            Level.ERROR,
            f"there is no Service {host} in {backends.namespace}: requests to it would be answered 503",
            f"traffic.{word}.host",
            "create it, or correct the name",
        )


def _covers(pattern: str, home: str, at: str, host: str) -> bool:
    """Whether a rule's host takes in the side's host."""
    name, _, namespace = at.partition(".")
    inside = Backends(namespace, name, "", Side(""), Side(""))
    return canonical(pattern, home) == at or (at != host and covers(pattern, home, inside))
