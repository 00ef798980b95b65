"""Who still blocks STRICT of a workload, each with the fix.

| code | what | module |
|---|---|---|
| RO601 | pods without a proxy, now or next time | `own` |
| RO602 | proxies that are not ready | `own` |
| RO603 | a caller that is known by name sends plaintext | `callers` |
| RO604 | callers without an identity send plaintext | `callers` |
| RO605 | a workload without a proxy names it in its template | `callers` |
| RO606 | a rule keeps callers in the mesh from its mTLS | `own` |
| RO607 | a port is scraped in plaintext | `own` |
| RO608 | the protocol of a server that speaks first is guessed | `own` |
| RO609 | nothing is known about its traffic | `evidence` |
| RO610 | the window is shorter than the pauses of a CronJob without a proxy | `evidence` |
| RO611 | the metrics are younger than the window | `evidence` |
| RO612 | its mode is DISABLE | `own` |

Errors would break, or make STRICT a mere word; warnings mean that it is not proven that nothing breaks.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from rollout.observe.readiness import callers, evidence, own
from rollout.observe.readiness.scene import Scene, scene
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Carrier, Mode, Unit

__all__ = ["CALLERS", "Scene", "Standing", "blockers", "scene", "standing"]

CALLERS: Final = frozenset({"RO603", "RO604", "RO605", "RO610"})
"""Findings about who calls, or might."""


class Standing(StrEnum):
    """How far a unit is."""

    STRICT = "strict"
    """It is STRICT, and nothing speaks against that."""
    READY = "ready"
    UNPROVEN = "unproven"
    BLOCKED = "blocked"
    CALLER = "caller"
    """Nothing calls it: a mode of its own would change nothing."""
    GATEWAY = "gateway"
    """It is a proxy itself: modes are not for what comes in there."""


def blockers(unit: Unit, scene: Scene) -> tuple[Finding, ...]:
    """What speaks against STRICT, errors first."""
    if _gateway(unit, scene):
        return ()
    found = [*own.pods(unit, scene), *own.settings(unit, scene)]
    if scene.serves(unit) and scene.view(unit).mtls.workload.mode is not Mode.STRICT:
        found += [*callers.seen(unit, scene), *callers.expected(unit, scene), *evidence.doubts(unit, scene)]
    return tuple(sorted(found, key=lambda it: (it.level is not Level.ERROR, it.code)))


def standing(unit: Unit, scene: Scene, found: tuple[Finding, ...]) -> Standing:
    """The findings of `blockers` in one word."""
    levels = {it.level for it in found}
    if _gateway(unit, scene):
        return Standing.GATEWAY
    if Level.ERROR in levels:
        return Standing.BLOCKED
    if not scene.serves(unit):
        return Standing.CALLER
    if Level.WARNING in levels:
        return Standing.UNPROVEN
    return Standing.STRICT if scene.view(unit).mtls.workload.mode is Mode.STRICT else Standing.READY


def _gateway(unit: Unit, scene: Scene) -> bool:
    proxies = scene.view(unit).proxies
    return bool(proxies) and all(it.carrier is Carrier.GATEWAY for it in proxies)
