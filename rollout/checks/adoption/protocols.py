"""Protocols: the mesh knows what is spoken on each port (PF01, PF02, PF16)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from rollout.checks.adoption.fixes import apply, patch, several
from rollout.checks.adoption.meshes import ISTIO
from rollout.checks.adoption.modes import mode_of_port
from rollout.checks.adoption.ports import NOT_HTTP, ServicePort, numbered, ports
from rollout.checks.adoption.selectors import selects
from rollout.checks.adoption.surroundings import Checker, Look, Surroundings, called
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import ENDPOINT_SLICE, PEER_AUTHENTICATION, SERVICE, SIDECAR, Kind, Ref, ref_of
from rollout.ports.mesh import Unit

_WEB: Final = frozenset({80, 3000, 5000, 8000, 8080, 8081, 8888, 9080})


def declared(s: Surroundings) -> Iterator[Finding]:
    """PF01: every port of a Service names its protocol."""
    seen = set()
    for unit in s.joining:
        for port in ports(s, unit):
            if port.declared is not None or port.speaks_first or port.where in seen:
                continue
            seen.add(port.where)
            name = port.raw.get("name")
            said = f'its name "{name}" begins with none' if name else "it has neither appProtocol nor name"
            other = NOT_HTTP.get(port.container or 0)
            guess = f"; {other} is no HTTP" if other else ""
            text = f"{port.where} says no protocol ({said}): Istio guesses from the first bytes of each connection"
            fix = _declare(port, "tcp" if other else _likely(unit, port))
            yield Finding("RO501", Level.WARNING, text + guess, where=port.where, fix=fix)


def _likely(unit: Unit, port: ServicePort) -> str:
    """What a port most probably speaks; tcp is always safe."""
    probes = [c[kind] for c in unit.containers for kind in ("readinessProbe", "livenessProbe") if c.get(kind)]
    names = {p.get("name") for _, p in numbered(unit) if p["containerPort"] == port.container}
    for protocol, probe in (("grpc", "grpc"), ("http", "httpGet")):
        if any((it.get(probe) or {}).get("port") in {port.container, *names} for it in probes):
            return protocol
    return "http" if {port.raw["port"], port.container} & _WEB else "tcp"


def _declare(port: ServicePort, protocol: str) -> str:
    change = {"spec": {"ports": [{"port": port.raw["port"], "appProtocol": protocol}]}}
    return patch(ref_of(port.service), change)


def server_first(s: Surroundings) -> Iterator[Finding]:
    """PF02: where the server speaks first, nobody waits for the client's first bytes."""
    for unit in s.joining:
        for port in ports(s, unit):
            if protocol := port.speaks_first:
                yield from _waits(s, unit, port, protocol)


def _waits(s: Surroundings, unit: Unit, port: ServicePort, protocol: str) -> Iterator[Finding]:
    what = f"{port.where} of {called(unit)} is {protocol}, where the server speaks first"
    if not port.opaque:
        taken = f"declared {port.declared}" if port.declared else "not declared"
        text = f"{what}, and it is {taken}: the proxy waits for the client's first bytes, connections hang"
        yield Finding("RO502", Level.ERROR, text, where=port.where, fix=_declare(port, "tcp"))
    elif port.container and mode_of_port(s, unit, port.container) not in ("DISABLE", "STRICT"):
        text = (
            f"{what}: under PERMISSIVE its proxy waits for a client's first bytes, so callers without a proxy hang; "
            "enrol them first, or switch mTLS off on this port until they are"
        )
        yield Finding("RO502", Level.WARNING, text, where=port.where, fix=_disabled(s, unit, port.container))


def _disabled(s: Surroundings, unit: Unit, port: int) -> str:
    """Switch mTLS off on a port, in what is there for this unit already if anything is: two would contradict."""
    change = {"portLevelMtls": {str(port): {"mode": "DISABLE"}}}
    kind = PEER_AUTHENTICATION
    for obj in s.of(kind):
        if (selector := _selector(kind, obj)) and selects(selector, unit.labels):
            return patch(ref_of(obj), {"spec": change})
    meta = {"name": f"{unit.name}-plaintext", "namespace": s.name}
    spec = {"selector": {"matchLabels": _matching(unit)}, **change}
    return apply({"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec})


def _matching(unit: Unit) -> dict[str, str]:
    """Labels that select the unit's pods: those of its own selector where it has one."""
    selector = (unit.raw.get("spec") or {}).get("selector") or {}
    return selector.get("matchLabels") or dict(unit.labels)


def clashes(s: Surroundings) -> Iterator[Finding]:
    """PF16: no two objects say different things about one pod."""
    seen = set()
    for unit in s.joining:
        for finding in (*_of_ports(s, unit), *_of_selectors(s, unit)):
            if finding.message not in seen:
                seen.add(finding.message)
                yield finding
    for kind in (SIDECAR, PEER_AUTHENTICATION):
        whole = [it for it in s.of(kind) if not _selector(kind, it)]
        if len(whole) > 1:
            yield _twice(kind, whole, f"the whole namespace {s.name}")


def _of_ports(s: Surroundings, unit: Unit) -> Iterator[Finding]:
    found: dict[int, list[ServicePort]] = defaultdict(list)
    for port in ports(s, unit):
        if port.container is not None and port.declared != "udp":
            found[port.container].append(port)
    for number, members in found.items():
        if len({it.declared for it in members}) < 2:
            continue
        said = several([f"{it.where} as {it.declared or 'nothing'}" for it in members])
        text = f"port {number} of {called(unit)} is declared differently ({said}): one of them is served wrongly"
        best = next(it.declared for it in members if it.declared)
        odd = next(it for it in members if it.declared != best)
        yield Finding("RO516", Level.ERROR, text, where=str(unit), fix=_declare(odd, best))


def _of_selectors(s: Surroundings, unit: Unit) -> Iterator[Finding]:
    for kind in (SIDECAR, PEER_AUTHENTICATION):
        mine = [it for it in s.of(kind) if (it_selects := _selector(kind, it)) and selects(it_selects, unit.labels)]
        if len(mine) > 1:
            yield _twice(kind, mine, f"{called(unit)}")


def _twice(kind: Kind, objects: list[Json], what: str) -> Finding:
    names = sorted(it["metadata"]["name"] for it in objects)
    newest = max(objects, key=lambda it: (it["metadata"].get("creationTimestamp") or "", it["metadata"]["name"]))
    text = f"several {kind.plural} are for {what} ({several(names)}): which of them counts is not defined"
    meta = newest["metadata"]
    fix = f"kubectl delete {kind.plural}.{kind.group}/{meta['name']} -n {meta['namespace']}"
    return Finding("RO516", Level.WARNING, text, where=str(Ref(kind, meta["namespace"], meta["name"])), fix=fix)


def _selector(kind: Kind, obj: Json) -> Json:
    """What such an object selects, as a label selector; empty for everything."""
    spec = obj.get("spec") or {}
    if kind == SIDECAR:
        labels = (spec.get("workloadSelector") or {}).get("labels")
        return {"matchLabels": labels} if labels else {}
    return spec.get("selector") or {}


_SERVICES: Final = (Look(SERVICE), Look(ENDPOINT_SLICE))
CHECKERS: Final = (
    Checker("PF01", "protocols", "ports of Services name their protocol", declared, _SERVICES, ISTIO),
    Checker(
        "PF02",
        "protocols",
        "server-first protocols are left alone",
        server_first,
        (*_SERVICES, Look(PEER_AUTHENTICATION)),
        ISTIO,
    ),
    Checker(
        "PF16",
        "protocols",
        "no two objects contradict each other about a pod",
        clashes,
        (*_SERVICES, Look(SIDECAR), Look(PEER_AUTHENTICATION)),
        ISTIO,
    ),
)
