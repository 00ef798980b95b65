"""What only Consul can get wrong.

| code | level | what |
|---|---|---|
| RO342 | error | Consul does not take an object of the Service as it is |
| RO346 | error | the splitter sends requests elsewhere too: shares of shares would be finer than the 0.01 % of Consul |
| RO347 | error | the resolver redirects the Service, or narrows it to a subset of its own |
| RO348 | error | a route names a subset, and so goes past the split |
| RO349 | error, warning | the protocol of the Service is not one that is split (warning: it is not said here) |
| RO350 | error | the names of pods do not tell the two sides apart |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.adapters.routers.consul.subsets import LONGEST, resolver_ref
from rollout.adapters.routers.consul.synced import pending, refused, spec_of
from rollout.adapters.routers.parts.spots import Routing, title, traffic_only
from rollout.adapters.routers.services.pair import find, marked
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import SERVICE_DEFAULTS, SERVICE_RESOLVER, SERVICE_ROUTER, SERVICE_SPLITTER, Ref
from rollout.plan.program import Backends
from rollout.ports.router import Objects

_SPLIT: Final = ("http", "http2", "grpc")
"""Protocols of which requests are split."""


def of_consul(backends: Backends, objects: Objects, found: list[Routing]) -> Iterator[Finding]:
    """All of them; `found` are the splitters of the Service."""
    yield from _untaken(backends, objects)
    for routing in found:
        yield from _shared(routing, backends)
    yield from _protocol(backends, objects)
    if not traffic_only(backends):
        yield from _elsewhere(backends, objects)
        yield from _past(backends, objects)
        yield from _alike(backends)


def _untaken(backends: Backends, objects: Objects) -> Iterator[Finding]:
    for kind in (SERVICE_RESOLVER, SERVICE_SPLITTER):
        its = Ref(kind, backends.namespace, backends.service)
        obj = find(its, objects)
        why = "" if obj is None or marked(obj, backends) else pending(obj) or refused(obj)
        if why:
            where = title(its, backends)
            text = f"{where} holds for nobody: {why}"
            fix = "correct it, or delete it; a run waits until what it writes is taken"
            yield Finding("RO342", Level.ERROR, text, f"{where} status.conditions", fix)


def _shared(routing: Routing, backends: Backends) -> Iterator[Finding]:
    where = title(routing.ref, backends)
    for spot in routing.steered:
        parts = len(spot.shares)
        if parts > 1:
            yield Finding(
                "RO346",
                Level.ERROR,
                f"{where} has {parts} destinations, and a run splits one: Consul takes no weight finer than 0.01 %, so "
                "the candidate would not get what the plan says",
                f"{where} spec.splits",
                "send all requests to the Service while the run lasts"
                + ("" if traffic_only(backends) else ", or shift between its subsets with a traffic-only plan"),
            )


def _elsewhere(backends: Backends, objects: Objects) -> Iterator[Finding]:
    spec, where = spec_of(find(resolver_ref(backends), objects) or {}), title(resolver_ref(backends), backends)
    for field, text in (("redirect", "sends its requests elsewhere"), ("defaultSubset", "narrows it to a subset")):
        if spec.get(field):
            yield Finding(
                "RO347",
                Level.ERROR,
                f"{where} {text}: the two subsets of a run would ignore that, and requests reach other pods than now",
                f"{where} spec.{field}",
                f"take {field} out while the run lasts",
            )


def _past(backends: Backends, objects: Objects) -> Iterator[Finding]:
    for kind, key in ((SERVICE_ROUTER, "routes"), (SERVICE_SPLITTER, "splits")):
        for obj in objects.get(kind, ()):
            name = obj["metadata"]["name"]
            own = name == backends.service
            if own and kind == SERVICE_SPLITTER:
                continue
            for index, rule in enumerate(spec_of(obj).get(key) or ()):
                to = rule.get("destination") or {} if kind == SERVICE_ROUTER else rule
                if to.get("serviceSubset") and (to.get("service") or name) == backends.service:
                    where = f"{title(Ref(kind, backends.namespace, name), backends)} spec.{key}[{index}]"
                    yield Finding(
                        "RO348",
                        Level.ERROR,
                        f"{where} names subset {to['serviceSubset']}: its requests go past the split, and reach "
                        "candidate pods from their start",
                        where,
                        "take serviceSubset out while the run lasts",
                    )


def _protocol(backends: Backends, objects: Objects) -> Iterator[Finding]:
    its = Ref(SERVICE_DEFAULTS, backends.namespace, backends.service)
    said = spec_of(find(its, objects) or {}).get("protocol")
    where = f"{title(its, backends)} spec.protocol"
    if said and said not in _SPLIT:
        text = f"{backends.service} speaks {said}: Consul splits requests of {', '.join(_SPLIT)} only"
        yield Finding("RO349", Level.ERROR, text, where, "set it to http, if that is what it speaks")
    elif not said:
        text = f"{title(its, backends)} does not say that {backends.service} speaks http: unless ProxyDefaults say so, "
        fix = "write `protocol: http`"
        yield Finding("RO349", Level.WARNING, f"{text}Consul will not take the split", where, fix)


def _alike(backends: Backends) -> Iterator[Finding]:
    for side in (backends.stable, backends.candidate):
        if len(side.workload) > LONGEST:
            yield Finding(
                "RO350",
                Level.ERROR,
                f"Deployment/{side.workload} has a name of more than {LONGEST} characters: Kubernetes cuts the names "
                "of its pods, by which Consul tells stable and candidate apart",
                f"Deployment/{side.workload}",
                "use a shorter name",
            )
