"""Where requests to a Service go by what other APIs than Istio's say: Services as destinations, by weight.

Pure.  A destination is its plain endpoints: no split is followed from there, as meshes do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from rollout.adapters.memory.consul import CONSULS, divided
from rollout.plan.base import Json
from rollout.plan.kinds import GRPC_ROUTE, HTTP_ROUTE, HTTP_ROUTE_BETA, POLICY_ROUTES, TRAFFIC_SPLITS

SPLITTING: Final = (HTTP_ROUTE, HTTP_ROUTE_BETA, GRPC_ROUTE, *POLICY_ROUTES, *TRAFFIC_SPLITS, *CONSULS)
"""Kinds that say so."""
_CLUSTER: Final = ".cluster.local"


@dataclass(frozen=True, slots=True)
class Destination:
    """A Service, and its part of the requests."""

    host: str
    """Its full name."""
    weight: float
    filter: str | None = ""
    """Which of its pods, as Consul says it; None for a part that nobody defines."""


def fqdn(host: str, namespace: str) -> str:
    """The full name of a host as written in an object of a namespace."""
    parts = host.split(".")
    if len(parts) == 1:
        parts.append(namespace)
    if len(parts) == 2:
        parts.append("svc")
    return ".".join(parts) + _CLUSTER if parts[2:] == ["svc"] else host


def destinations(
    splits: Sequence[Json], services: Sequence[Json], namespace: str, port: str, host: str
) -> list[Destination]:
    """Who gets a meshed caller's requests to a host (a full name); the Service itself where nothing is said."""
    for split in splits:
        home, spec = split["metadata"]["namespace"], split["spec"]
        if split["kind"] == "TrafficSplit":
            if fqdn(spec["service"], home) == host and not spec.get("matches"):
                weights = [_amount(it.get("weight", 0)) for it in spec["backends"]]
                return shared([fqdn(it["service"], home) for it in spec["backends"]], weights)
        elif split["kind"] == "ServiceSplitter":
            if fqdn(split["metadata"]["name"], home) == host:
                return _of_consul(split, splits)
        elif home in (namespace, host.split(".")[1]) and _speaks_for(split, services, port, host):
            return _first_rule(split)
    return [Destination(host, 1.0)]


def through_gateway(splits: Sequence[Json], hostname: str) -> list[Destination]:
    """Who gets requests from outside for a hostname: by the first route for it whose parent is a Gateway."""
    for split in splits:
        parents = split["spec"].get("parentRefs") or ()
        outside = any(it.get("kind", "Gateway") == "Gateway" for it in parents)
        if outside and hostname in (split["spec"].get("hostnames") or ()):
            return _first_rule(split)
    return []


def _speaks_for(route: Json, services: Sequence[Json], port: str, host: str) -> bool:
    """Whether a parent of the route is the Service, at the port that is called."""
    home = route["metadata"]["namespace"]
    for parent in route["spec"].get("parentRefs") or ():
        if parent.get("kind") != "Service" or fqdn(parent["name"], parent.get("namespace") or home) != host:
            continue
        called = next((s for s in services if fqdn(s["metadata"]["name"], s["metadata"]["namespace"]) == host), None)
        ports = (called or {"spec": {}})["spec"].get("ports") or [{"port": 80}]
        chosen = next((it for it in ports if it.get("name") == port), ports[0])
        if parent.get("port") in (None, chosen["port"]):
            return True
    return False


def _first_rule(route: Json) -> list[Destination]:
    """The destinations of the rule without matches, or of the first."""
    home, rules = route["metadata"]["namespace"], route["spec"].get("rules") or [{}]
    rule = next((it for it in rules if not it.get("matches")), rules[0])
    entries = rule.get("backendRefs") or ()
    weights = [Fraction(it.get("weight", 1)) for it in entries]
    return shared([fqdn(it["name"], it.get("namespace") or home) for it in entries], weights)


def shared(hosts: Sequence[str], weights: Sequence[Fraction]) -> list[Destination]:
    """Those with a weight; the parts add up to 1."""
    total = sum(weights)
    return [Destination(host, float(it / total)) for host, it in zip(hosts, weights, strict=True) if it > 0]


def _of_consul(splitter: Json, objects: Sequence[Json]) -> list[Destination]:
    """The parts of a splitter."""
    home, parts = splitter["metadata"]["namespace"], list(divided(splitter, objects))
    total = sum(weight for _, weight, _ in parts)
    return [Destination(fqdn(name, home), float(weight / total), it) for name, weight, it in parts if weight > 0]


def _amount(said: int | str) -> Fraction:
    """A weight; `500m` is a half."""
    text = str(said)
    return Fraction(text[:-1]) / 1000 if text.endswith("m") else Fraction(text)
