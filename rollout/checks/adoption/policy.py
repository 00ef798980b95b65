"""Policies of the cluster: they let pods with a proxy in, and the proxy reach its control plane (PF07, PF12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rollout.checks.adoption.fixes import patch, several
from rollout.checks.adoption.meshes import CONTROL_LABELS, CONTROL_PORTS, ISTIO, SCRAPE_PORT
from rollout.checks.adoption.ports import numbered
from rollout.checks.adoption.reach import Direction, End, Port, isolating, lets_anybody_in, lets_in, lets_out
from rollout.checks.adoption.surroundings import Checker, Look, Place, Surroundings, called
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import NAMESPACE, NETWORK_POLICY, POD, ref_of
from rollout.ports.mesh import Unit

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_NAME: Final = "kubernetes.io/metadata.name"
DNS_SPACE: Final = "kube-system"
DNS_LABELS: Final[Mapping[str, str]] = {"k8s-app": "kube-dns"}


def pod_security(s: Surroundings) -> Iterator[Finding]:
    """PF07: the namespace's Pod Security level lets Istio's init container in."""
    level = s.labels.get(_ENFORCE, "privileged")
    if level == "privileged" or s.adopted.cni:
        return
    doubt = "" if s.adopted.cni is False else "; whether Istio's CNI agent is installed could not be seen"
    text = (
        f"namespace {s.name} enforces the Pod Security level {level}, which forbids the NET_ADMIN and NET_RAW of "
        f"istio-init: no pod with a proxy would start{doubt}"
    )
    fix = "install Istio's CNI agent, and tell istiod: helm upgrade istiod istio/istiod --reuse-values --set " + (
        f"pilot.cni.enabled=true -n {s.adopted.namespace}"
    )
    certain = Level.ERROR if s.adopted.cni is False else Level.WARNING
    yield Finding("RO507", certain, text, where=f"Namespace/{s.name}", fix=fix)


def reach(s: Surroundings) -> Iterator[Finding]:
    """PF12: NetworkPolicies let proxies reach the control plane and DNS, and let their metrics be scraped."""
    policies = s.of(NETWORK_POLICY)
    control = _ends(s, "mesh", s.adopted.namespace, CONTROL_LABELS[s.adopted.driver])
    dns = _ends(s, "dns", DNS_SPACE, DNS_LABELS)
    for port in CONTROL_PORTS[s.adopted.driver]:
        cut = _cut_off(s, policies, control, Port(port))
        what = f"the control plane in {s.adopted.namespace} on port {port}, so no pod with a proxy would ever be ready"
        yield from _no_way_out(s, cut, what, control, Port(port))
    cut = _cut_off(s, policies, dns, Port(53, "UDP"))
    yield from _no_way_out(s, cut, "DNS, so no proxy would find its control plane", dns, Port(53, "UDP"))
    yield from _scrape(s, policies)


def _cut_off(s: Surroundings, policies: Sequence[Json], ends: Sequence[End], port: Port) -> list[Unit]:
    return [unit for unit in s.joining if not any(lets_out(policies, end_of(s, unit), peer, port) for peer in ends)]


def _no_way_out(s: Surroundings, units: list[Unit], what: str, ends: Sequence[End], port: Port) -> Iterator[Finding]:
    if units:
        text = f"{_units(units)} cannot reach {what} ({_to_blame(s, units, 'Egress')} of {s.name})"
        to = {
            "namespaceSelector": {"matchLabels": {_NAME: ends[0].namespace}},
            "podSelector": {"matchLabels": dict(_selector_of(ends[0]))},
        }
        fix = _widened(s, units, "Egress", {"to": [to], "ports": [{"protocol": port.protocol, "port": port.number}]})
        yield Finding("RO512", Level.ERROR, text, where=f"Namespace/{s.name}", fix=fix)


def _scrape(s: Surroundings, policies: Sequence[Json]) -> Iterator[Finding]:
    port = Port(SCRAPE_PORT[s.adopted.driver])
    scrapers = [_end(s, pod) for pod in s.of(POD, "prometheus")]
    deaf = [unit for unit in s.joining if not _scraped(policies, end_of(s, unit), scrapers, port)]
    if deaf:
        text = (
            f"nobody may scrape the proxies of {_units(deaf)} on port {port.number} "
            f"({_to_blame(s, deaf, 'Ingress')} of {s.name}): their metrics are missing, and gates have no data"
        )
        spaces = sorted({it.namespace for it in scrapers})
        peers = [{"namespaceSelector": {"matchLabels": {_NAME: space}}} for space in spaces]
        rule = {"from": peers or [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": port.number}]}
        fix = _widened(s, deaf, "Ingress", rule)
        yield Finding("RO512", Level.WARNING, text, where=f"Namespace/{s.name}", fix=fix)


def _scraped(policies: Sequence[Json], pod: End, scrapers: Sequence[End], port: Port) -> bool:
    """Whether what scrapes gets in; where we know of nothing that does, whether anybody gets in."""
    if not scrapers:
        return lets_anybody_in(policies, pod, port)
    return any(lets_in(policies, pod, peer, port) for peer in scrapers)


def end_of(s: Surroundings, unit: Unit) -> End:
    """A unit's pods, with their proxy, as one end of a connection."""
    ports = {port["name"]: port["containerPort"] for _, port in numbered(unit) if port.get("name")}
    labels = {_NAME: s.name, **s.labels}
    return End(s.name, {**unit.labels, **s.adopted.labels}, labels, named_ports=ports)


def _ends(s: Surroundings, place: Place, namespace: str, labels: Mapping[str, str]) -> list[End]:
    """The pods there; where none could be seen, one with the labels that it usually has."""
    return [_end(s, pod) for pod in s.of(POD, place)] or [End(namespace, labels, _space(s, namespace))]


def _end(s: Surroundings, pod: Json) -> End:
    meta, ips = pod["metadata"], (pod.get("status") or {}).get("podIPs") or ()
    containers = pod["spec"].get("containers") or ()
    ports = {p["name"]: p["containerPort"] for c in containers for p in c.get("ports") or () if p.get("name")}
    addresses = tuple(it["ip"] for it in ips)
    return End(meta["namespace"], meta.get("labels") or {}, _space(s, meta["namespace"]), addresses, ports)


def _space(s: Surroundings, namespace: str) -> Mapping[str, str]:
    return {_NAME: namespace, **s.namespaces.get(namespace, {})}


def _selector_of(end: End) -> Mapping[str, str]:
    for labels in (*CONTROL_LABELS.values(), DNS_LABELS):
        if labels.items() <= end.labels.items():
            return labels
    return end.labels


def _isolating(s: Surroundings, units: list[Unit], direction: Direction) -> list[Json]:
    """For each unit one policy that isolates it: a rule more in these opens the way, and isolates nobody else."""
    found = [isolating(s.of(NETWORK_POLICY), end_of(s, unit), direction)[0] for unit in units]
    return list({policy["metadata"]["name"]: policy for policy in found}.values())


def _to_blame(s: Surroundings, units: list[Unit], direction: Direction) -> str:
    names = [it["metadata"]["name"] for it in _isolating(s, units, direction)]
    return f"NetworkPolicies {several(names)}" if len(names) > 1 else f"NetworkPolicy/{names[0]}"


def _widened(s: Surroundings, units: list[Unit], direction: Direction, rule: Json) -> str:
    part = direction.lower()
    return " && ".join(
        patch(ref_of(policy), [_added(part, policy["spec"].get(part), rule)])
        for policy in _isolating(s, units, direction)
    )


def _added(part: str, there: Sequence[Json] | None, rule: Json) -> Json:
    if there is None:
        return {"op": "add", "path": f"/spec/{part}", "value": [rule]}
    return {"op": "add", "path": f"/spec/{part}/-", "value": rule}


def _units(units: list[Unit]) -> str:
    return several([f"{called(unit)}" for unit in units])


CHECKERS: Final = (
    Checker("PF07", "policy", "Pod Security lets proxies in", pod_security, (Look(NAMESPACE),), ISTIO),
    Checker("PF12", "policy", "NetworkPolicies let proxies work", reach, (Look(NETWORK_POLICY),)),
)
