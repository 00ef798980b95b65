"""Scraping and egress: what reaches a port, or leaves for a host, past the mesh (PF13, PF14)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.checks.adoption.fixes import annotate, apply
from rollout.checks.adoption.meshes import ISTIO
from rollout.checks.adoption.modes import mode_of_port
from rollout.checks.adoption.ports import numbered
from rollout.checks.adoption.surroundings import Checker, Look, Outside, Surroundings, called
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import PEER_AUTHENTICATION, SERVICE_ENTRY
from rollout.ports.mesh import Unit

EXCLUDED: Final = "traffic.sidecar.istio.io/excludeInboundPorts"
_MERGE: Final = "prometheus.istio.io/merge-metrics"
_METRICS: Final = ("metrics", "prometheus", "prom", "telemetry")


def scraped(s: Surroundings) -> Iterator[Finding]:
    """PF13: metrics of the application stay readable for a Prometheus outside the mesh."""
    for unit in s.joining:
        for port, why in _scraped_ports(s, unit).items():
            excluded = [it.strip() for it in unit.annotations.get(EXCLUDED, "").split(",") if it.strip()]
            if str(port) in excluded or mode_of_port(s, unit, port) in ("PERMISSIVE", "DISABLE"):
                continue
            text = (
                f"port {port} of {called(unit)} is scraped directly ({why}): under STRICT a Prometheus without a "
                "proxy is refused, and these metrics end"
            )
            fix = annotate(unit, {EXCLUDED: ",".join([*excluded, str(port)])})
            yield Finding("RO513", Level.WARNING, text, where=str(unit), fix=fix)


def _scraped_ports(s: Surroundings, unit: Unit) -> dict[int, str]:
    """Ports that seem to be scraped, and why we think so. What Istio merges into the proxy's own is none."""
    notes = unit.annotations
    if notes.get("prometheus.io/scrape") == "true":
        merged = notes.get(_MERGE, "true" if s.adopted.merges_metrics else "false") == "true"
        given = notes.get("prometheus.io/port", "")
        return {int(given): "prometheus.io/port"} if not merged and given.isdigit() else {}
    named = [port for _, port in numbered(unit) if {*port.get("name", "").split("-")} & {*_METRICS}]
    return {port["containerPort"]: f"its name is {port['name']}" for port in named}


def outside(s: Surroundings) -> Iterator[Finding]:
    """PF14: every host outside the mesh that is called is known to it, before egress is locked."""
    known = {host for entry in s.of(SERVICE_ENTRY, "everywhere") for host in entry["spec"].get("hosts") or ()}
    for it in dict.fromkeys(s.outside or ()):
        if not any(_covers(host, it.host) for host in known):
            who = f" by {it.caller}" if it.caller else ""
            text = f"{it.host}:{it.port} is called{who} and no ServiceEntry names it: REGISTRY_ONLY would refuse it"
            yield Finding("RO514", Level.WARNING, text, where=it.caller, fix=_entry(s, it))


def _covers(known: str, host: str) -> bool:
    return known == host or (known.startswith("*.") and host.endswith(known[1:]))


def _entry(s: Surroundings, it: Outside) -> str:
    port = {"number": it.port, "name": f"{it.protocol.lower()}-{it.port}", "protocol": it.protocol}
    spec = {"hosts": [it.host], "location": "MESH_EXTERNAL", "resolution": "DNS", "ports": [port], "exportTo": ["."]}
    meta = {"name": it.host.replace("*", "any").lower(), "namespace": s.name}
    return apply(
        {"apiVersion": SERVICE_ENTRY.api_version, "kind": SERVICE_ENTRY.name, "metadata": meta, "spec": spec},
    )


CHECKERS: Final = (
    Checker("PF13", "scraping", "metrics can be scraped under STRICT", scraped, (Look(PEER_AUTHENTICATION),), ISTIO),
    Checker(
        "PF14",
        "egress",
        "hosts outside the mesh are known to it",
        outside,
        (Look(SERVICE_ENTRY, "everywhere"),),
        ISTIO,
        observed=True,
    ),
)
