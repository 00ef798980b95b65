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

from rollout.observe.readiness import callers, evidence, own
from rollout.observe.readiness.names import inbound, serves
from rollout.observe.survey import Survey
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Carrier, Mesh, Mode, Unit

__all__ = ["Standing", "blockers", "inbound", "standing"]


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


def blockers(mesh: Mesh, unit: Unit, survey: Survey) -> tuple[Finding, ...]:
    """What speaks against STRICT, errors first."""
    view = survey.views[unit.ref]
    if _gateway(unit, survey):
        return ()
    found = [*own.pods(mesh, unit, survey), *own.settings(mesh, unit, survey)]
    if serves(unit, survey) and view.mtls.workload.mode is not Mode.STRICT:
        found += callers.seen(mesh, unit, survey)
        found += callers.expected(mesh, unit, survey)
        found += evidence.doubts(unit, survey)
    return tuple(sorted(found, key=lambda it: (it.level is not Level.ERROR, it.code)))


def standing(unit: Unit, survey: Survey, found: tuple[Finding, ...]) -> Standing:
    """The findings of `blockers` in one word."""
    levels = {it.level for it in found}
    if _gateway(unit, survey):
        return Standing.GATEWAY
    if Level.ERROR in levels:
        return Standing.BLOCKED
    if not serves(unit, survey):
        return Standing.CALLER
    if Level.WARNING in levels:
        return Standing.UNPROVEN
    return Standing.STRICT if survey.views[unit.ref].mtls.workload.mode is Mode.STRICT else Standing.READY


def _gateway(unit: Unit, survey: Survey) -> bool:
    proxies = survey.views[unit.ref].proxies
    return bool(proxies) and all(it.carrier is Carrier.GATEWAY for it in proxies)
