"""Where a request goes: the routing of meshes in small.  Pure: a snapshot of objects in, shares of the traffic out.

What it knows is what a canary can break: which VirtualService wins for a host, weights, subsets merged from several
DestinationRules, rules that hide others, and the 503s of a subset that nobody defines or that has no ready pod.  What
other APIs say of Services is in `splits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from rollout.adapters.memory.consul import selects
from rollout.adapters.memory.injector import installed
from rollout.adapters.memory.kubelet import is_ready
from rollout.adapters.memory.objects import Objects
from rollout.adapters.memory.policies import ROOT_NAMESPACE
from rollout.adapters.memory.rules import matches
from rollout.adapters.memory.splits import SPLITTING, Destination, destinations, fqdn, through_gateway
from rollout.plan.base import Json
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    DESTINATION_RULE,
    PEER_AUTHENTICATION,
    POD,
    SERVICE,
    VIRTUAL_SERVICE,
)


class Cause(StrEnum):
    """Why a request failed; the first three are Envoy's response flags."""

    NO_CLUSTER = "NC"
    """The route names a subset or a Service that nobody defines."""
    NO_HEALTHY = "UH"
    """No ready pod behind the destination."""
    NO_ROUTE = "NR"
    """No route of the VirtualService matches."""
    REFUSED = "refused"
    """The server's proxy wants mTLS, and closed a connection without it: it has seen no request."""
    DENIED = "403"
    """An authorization policy in the server's proxy refused it."""
    KILLED = "killed"
    """The pod was gone when the request arrived."""
    ANSWERED_5XX = "5xx"
    """The application itself answered 5xx."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: its namespace and labels decide which rules it sees."""

    namespace: str
    meshed: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    workload: str = "client"
    """Its name in metrics."""
    account: str = "client"
    """Its service account: who it is in mTLS."""
    port: str = ""
    """The name of the Service's port that it calls; the first one when empty."""
    pod: tuple[str, str] = ("", "")
    """Namespace and name, of a caller that is a pod."""
    hostname: str = ""
    """By which it calls from outside, through a Gateway; empty for callers inside."""

    @property
    def title(self) -> str:
        """`shop/front`."""
        return f"{self.namespace}/{self.workload}"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the requests: pods that take it, or the cause why nobody does."""

    weight: float
    pods: tuple[Json, ...] = ()
    subset: str = ""
    """Empty when the plain Service is the destination."""
    cause: Cause | None = None
    chosen: bool = False
    """A route sent them to another Service than the one that was called, or to a subset."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the proxies know at one moment."""

    at: float
    revision: int
    """Of the cluster: the same number, the same objects."""
    virtual_services: Sequence[Json]
    destination_rules: Sequence[Json]
    services: Sequence[Json]
    peer_authentications: Sequence[Json]
    authorization_policies: Sequence[Json]
    pods: Sequence[Json]
    splits: Sequence[Json] = ()
    """TrafficSplits, and routes of the Gateway API."""
    guarded: bool = False
    """Whether there is a control plane, so that pods are in the mesh by their proxies and policies count."""


_OF_ISTIO: Final = (VIRTUAL_SERVICE, DESTINATION_RULE, SERVICE, PEER_AUTHENTICATION, AUTHORIZATION_POLICY)
ROUTING: Final = (*_OF_ISTIO, *SPLITTING)
"""A write to one of these may change at once where requests go, or whether they are taken."""


def snapshot(objects: Objects) -> Snapshot:
    """The present state; cheap, because stored objects never change in place."""
    routes, rules, services, modes, policies, pods = (objects.of(kind) for kind in (*_OF_ISTIO, POD))
    splits = [obj for kind in SPLITTING for obj in objects.of(kind)]
    guarded = installed(objects)
    return Snapshot(objects.now(), objects.revision, routes, rules, services, modes, policies, pods, splits, guarded)


def resolve(seen: Snapshot, caller: Caller, host: str) -> list[Share]:
    """Who gets which part of the caller's requests to a host (a full name). The weights add up to 1."""
    if caller.hostname:
        outside = through_gateway(seen.splits, caller.hostname)
        return [_to_service(seen, caller, host, it) for it in outside] or [Share(1.0, cause=Cause.NO_ROUTE)]
    if not caller.meshed:
        return [_share(1.0, seen, caller, host, "")]
    route = _route_for(seen, caller, host)
    if route is None:
        found = destinations(seen.splits, seen.services, caller.namespace, caller.port, host)
        return [_to_service(seen, caller, host, it) for it in found]
    namespace, backends = route[0], route[1].get("route", ())
    if not backends:
        return [Share(1.0, cause=Cause.NO_ROUTE)]
    total = sum(b.get("weight", 0) for b in backends)
    shares = []
    for backend in backends:
        weight = backend.get("weight", 0) / total if total else 1 / len(backends)
        if weight > 0:
            to = backend["destination"]
            shares.append(_share(weight, seen, caller, fqdn(to["host"], namespace), to.get("subset", "")))
    return shares


def copied(seen: Snapshot, caller: Caller, host: str) -> list[Share]:
    """Who gets copies of the caller's requests besides, each with the share of them that is copied."""
    route = None if caller.hostname or not caller.meshed else _route_for(seen, caller, host)
    if route is None:
        return []
    return [
        _share(
            it.get("percentage", {}).get("value", 100.0) / 100,
            seen,
            caller,
            fqdn(it["destination"]["host"], route[0]),
            it["destination"].get("subset", ""),
        )
        for it in route[1].get("mirrors", ())
    ]


def _to_service(seen: Snapshot, caller: Caller, host: str, to: Destination) -> Share:
    if to.filter is None:
        return Share(to.weight, cause=Cause.NO_CLUSTER)
    share = replace(_share(to.weight, seen, caller, to.host, ""), chosen=bool(to.host != host or to.filter))
    if not to.filter:
        return share
    pods = tuple(pod for pod in share.pods if selects(to.filter, pod))
    return replace(share, pods=pods, cause=share.cause or (None if pods else Cause.NO_HEALTHY))


def _route_for(seen: Snapshot, caller: Caller, host: str) -> tuple[str, Json] | None:
    """The namespace and the route that wins, empty if none does; None without a VirtualService for the host."""
    winner = _first(
        vs
        for vs in seen.virtual_services
        if "mesh" in vs["spec"].get("gateways", ["mesh"])
        and host in [fqdn(h, vs["metadata"]["namespace"]) for h in vs["spec"].get("hosts", ())]
        and _visible(vs, caller)
    )
    if winner is None:
        return None
    protocol = "tcp" if _is_tcp(seen, host) else "http"
    routes = winner["spec"].get(protocol, ())
    if not routes:
        return None
    return _match(seen, winner["metadata"]["namespace"], routes, caller)


def _match(seen: Snapshot, namespace: str, routes: Sequence[Json], caller: Caller) -> tuple[str, Json]:
    for route in routes:
        conditions = route.get("match")
        if conditions and not any(_holds(condition, caller) for condition in conditions):
            continue
        if delegate := route.get("delegate"):
            where = delegate.get("namespace", namespace)
            child = _first(
                vs
                for vs in seen.virtual_services
                if (vs["metadata"]["namespace"], vs["metadata"]["name"]) == (where, delegate["name"])
            )
            return _match(seen, where, child["spec"].get("http", ()), caller) if child is not None else (where, {})
        return namespace, route
    return namespace, {}


def _holds(condition: Json, caller: Caller) -> bool:
    if "gateways" in condition and "mesh" not in condition["gateways"]:
        return False
    if condition.get("sourceNamespace", caller.namespace) != caller.namespace:
        return False
    if not matches(caller.labels, condition.get("sourceLabels", {})):
        return False
    texts = [(caller.path, condition["uri"])] if "uri" in condition else []
    texts += [(caller.headers.get(name, ""), wanted) for name, wanted in condition.get("headers", {}).items()]
    return all(_text_matches(text, wanted) for text, wanted in texts)


def _text_matches(text: str, wanted: Json) -> bool:
    if "exact" in wanted:
        return bool(text == wanted["exact"])
    if "prefix" in wanted:
        return text.startswith(wanted["prefix"])
    return re.fullmatch(wanted.get("regex", ""), text) is not None


def _share(weight: float, seen: Snapshot, caller: Caller, host: str, subset: str) -> Share:
    service = service_of(seen, host)
    labels = _subset_labels(seen, caller, host, subset) if subset else {}
    if service is None or labels is None:
        return Share(weight, subset=subset, cause=Cause.NO_CLUSTER)
    wanted = {**service["spec"].get("selector", {}), **labels}
    chosen = bool(subset)
    pods = tuple(
        pod
        for pod in seen.pods
        if pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        and matches(pod["metadata"].get("labels"), wanted)
        and matches(pod["metadata"].get("labels"), service["spec"].get("selector", {}))
        and is_ready(pod)
    )
    return Share(weight, pods, subset, None if pods else Cause.NO_HEALTHY, chosen)


def _subset_labels(seen: Snapshot, caller: Caller, host: str, subset: str) -> Mapping[str, str] | None:
    """The labels of a subset; None when no rule that the caller's proxy uses defines it."""
    for rule in _rules_for(seen, caller, host):
        for candidate in rule["spec"].get("subsets", ()):
            if candidate["name"] == subset:
                labels: Mapping[str, str] = candidate.get("labels", {})
                return labels
    return None


def client_tls(seen: Snapshot, caller: Caller, host: str, subset: str = "") -> str:
    """How rules tell the caller's proxy to speak to a host; empty when none does."""
    found = ""
    for rule in _rules_for(seen, caller, host):
        parts = [rule["spec"], *(it for it in rule["spec"].get("subsets", ()) if it["name"] == subset)]
        for part in parts:
            tls = (part.get("trafficPolicy") or {}).get("tls")
            found = found if tls is None else str(tls.get("mode", "DISABLE"))
    return found


def _rules_for(seen: Snapshot, caller: Caller, host: str) -> list[Json]:
    """The rules that the caller's proxy merges: of its own namespace, else the Service's, else the root's."""
    rules = [
        rule
        for rule in sorted(seen.destination_rules, key=_age)
        if fqdn(rule["spec"]["host"], rule["metadata"]["namespace"]) == host and _visible(rule, caller)
    ]
    own = [rule for rule in rules if rule["metadata"]["namespace"] == caller.namespace]
    for rule in own:
        selector = rule["spec"].get("workloadSelector")
        if selector is not None and matches(caller.labels, selector.get("matchLabels", {})):
            return [rule]
    rules = [rule for rule in rules if "workloadSelector" not in rule["spec"]]
    for namespace in (caller.namespace, host.split(".")[1], ROOT_NAMESPACE):
        here = [rule for rule in rules if rule["metadata"]["namespace"] == namespace]
        if here:
            # rules merge only with those that are exported to the same namespaces
            return [rule for rule in here if _exported(rule) == _exported(here[0])]
    return []


def service_of(seen: Snapshot, host: str) -> Json | None:
    """The Service behind a full name."""
    named = (s for s in seen.services if fqdn(s["metadata"]["name"], s["metadata"]["namespace"]) == host)
    return next(named, None)


def _is_tcp(seen: Snapshot, host: str) -> bool:
    service = service_of(seen, host)
    ports: Sequence[Json] = service["spec"].get("ports", ()) if service is not None else ()
    return bool(ports) and str(ports[0].get("name", "")).split("-")[0] == "tcp"


def _visible(obj: Json, caller: Caller) -> bool:
    exported, home = _exported(obj), obj["metadata"]["namespace"]
    return "*" in exported or caller.namespace in exported or ("." in exported and caller.namespace == home)


def _exported(obj: Json) -> frozenset[str]:
    return frozenset(obj["spec"].get("exportTo") or ("*",))


def _age(obj: Json) -> tuple[str, str]:
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["uid"]


def _first(objects: Iterable[Json]) -> Json | None:
    """The oldest: it wins where Istio allows one."""
    return min(objects, key=_age, default=None)
