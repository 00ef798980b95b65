"""What NetworkPolicies let through: a small evaluator of networking.k8s.io/v1, pure.

Policies only allow.  A pod that no policy selects in a direction is open in it; one that is selected is reached, or
reaches, only where some rule of some of them allows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from rollout.checks.adoption.selectors import selects
from rollout.plan.base import Json

Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection, as policies tell pods apart."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    """Its IPs as far as known; without any, only a block of all addresses contains it."""
    named_ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """Where a connection goes to."""

    number: int
    protocol: str = "TCP"


def isolating(policies: Iterable[Json], pod: End, direction: Direction) -> list[Json]:
    """The policies that select a pod in a direction; none: everything is allowed."""
    return [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in _directions(policy["spec"])
        and selects(policy["spec"].get("podSelector") or {}, pod.labels)
    ]


def _directions(spec: Json) -> Sequence[str]:
    # by default a policy is about egress only when it has rules for it
    return spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def lets_out(policies: Iterable[Json], pod: End, peer: End, port: Port) -> bool:
    """Whether a pod's own policies let it connect to a peer."""
    mine = isolating(policies, pod, "Egress")
    return not mine or any(
        _on(rule, port, peer) and _with(rule.get("to"), pod.namespace, peer) for rule in _rules(mine, "egress")
    )


def lets_in(policies: Iterable[Json], pod: End, peer: End, port: Port) -> bool:
    """Whether a pod's own policies let a peer connect to it."""
    mine = isolating(policies, pod, "Ingress")
    return not mine or any(
        _on(rule, port, pod) and _with(rule.get("from"), pod.namespace, peer) for rule in _rules(mine, "ingress")
    )


def lets_anybody_in(policies: Iterable[Json], pod: End, port: Port) -> bool:
    """Whether there is any peer that a pod's policies let connect to this port."""
    mine = isolating(policies, pod, "Ingress")
    return not mine or any(_on(rule, port, pod) for rule in _rules(mine, "ingress"))


def _rules(policies: Iterable[Json], part: str) -> Iterator[Json]:
    for policy in policies:
        yield from policy["spec"].get(part) or ()


def _on(rule: Json, port: Port, server: End) -> bool:
    """Whether a rule is about this port; names are those of the server's containers."""
    wanted = rule.get("ports")
    return not wanted or any(_is(it, port, server) for it in wanted)


def _is(wanted: Json, port: Port, server: End) -> bool:
    if wanted.get("protocol", "TCP") != port.protocol:
        return False
    first: Any = wanted.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return server.named_ports.get(first) == port.number
    last: int = wanted.get("endPort", first)
    return bool(first <= port.number <= last)


def _with(peers: Sequence[Json] | None, home: str, peer: End) -> bool:
    return not peers or any(_matches(it, home, peer) for it in peers)


def _matches(wanted: Json, home: str, peer: End) -> bool:
    if (block := wanted.get("ipBlock")) is not None:
        return _inside(block, peer)
    pods, spaces = wanted.get("podSelector"), wanted.get("namespaceSelector")
    there = peer.namespace == home if spaces is None else selects(spaces, peer.namespace_labels)
    return there and (pods is None or selects(pods, peer.labels))


def _inside(block: Json, peer: End) -> bool:
    if not peer.addresses:
        return ip_network(block["cidr"]).prefixlen == 0 and not block.get("except")
    return any(
        _in(address, block["cidr"]) and not any(_in(address, hole) for hole in block.get("except") or ())
        for address in peer.addresses
    )


def _in(address: str, cidr: str) -> bool:
    return ip_address(address) in ip_network(cidr)
