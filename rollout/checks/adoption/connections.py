"""Connections: those that live long, and those that are cut with the proxy (PF22)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.checks.adoption.fixes import annotate
from rollout.checks.adoption.meshes import ISTIO
from rollout.checks.adoption.ports import ports
from rollout.checks.adoption.surroundings import Checker, Look, Surroundings, called
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CRON_JOB, ENDPOINT_SLICE, JOB, SERVICE

_LONG: Final = frozenset({"tcp", "mongo", "redis", "mysql", "grpc", "http2"})
_CONFIG: Final = "proxy.istio.io/config"
_DRAIN: Final = ("terminationDrainDuration", "EXIT_ON_ZERO_ACTIVE_CONNECTIONS")


def long_lived(s: Surroundings) -> Iterator[Finding]:
    """PF22: a change of mode is seen by every connection within the time that it is watched."""
    for unit in s.joining:
        spoken = sorted({port.declared for port in ports(s, unit) if port.declared in _LONG})
        if spoken:
            text = (
                f"{called(unit)} keeps connections ({', '.join(map(str, spoken))}): those that are open keep their "
                "mode until they close, so watch for longer than they live, or restart the callers"
            )
            fix = f"kubectl rollout restart deployments -n {s.name}"
            yield Finding("RO522", Level.INFO, text, where=str(unit), fix=fix)


def drained(s: Surroundings) -> Iterator[Finding]:
    """PF22: a proxy stays as long as the application that finishes its work."""
    for unit in s.joining:
        if unit.kind in (JOB, CRON_JOB) or s.adopted.starts_first(unit):
            continue
        config = unit.annotations.get(_CONFIG, "")
        slow = [c["name"] for c in unit.containers if (c.get("lifecycle") or {}).get("preStop")]
        if slow and not any(key in config for key in _DRAIN):
            text = (
                f"container {slow[0]} of {called(unit)} works on after SIGTERM (preStop), and a proxy that is no "
                "native sidecar leaves after 5s: what it then does fails"
            )
            grace = unit.spec.get("terminationGracePeriodSeconds", 30)
            fix = annotate(unit, {_CONFIG: f"{config}\nterminationDrainDuration: {grace}s".strip()})
            yield Finding("RO522", Level.WARNING, text, where=str(unit), fix=fix)


CHECKERS: Final = (
    Checker(
        "PF22",
        "connections",
        "connections see a change in time",
        long_lived,
        (Look(SERVICE), Look(ENDPOINT_SLICE)),
        ISTIO,
    ),
    Checker("PF22-drain", "connections", "proxies stay until the work is done", drained, meshes=ISTIO),
)
