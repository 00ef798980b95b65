"""What findings call things: workloads, moments, commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rollout.observe.readiness.scene import Scene
from rollout.observe.survey import Survey
from rollout.plan.kinds import CRON_JOB, DAEMON_SET, DEPLOYMENT, STATEFUL_SET
from rollout.ports.mesh import Unit

SHOWN: Final = 3
"""So many are named; the rest is counted."""
_RESTARTED: Final = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET)


def title(unit: Unit, near: str, survey: Survey) -> str:
    """`CronJob/report (next run 2026-12-01 00:00 UTC)`; with its namespace where that is not `near`."""
    name = f"{unit.kind}/{unit.name}" + (f" in {unit.namespace}" if unit.namespace != near else "")
    if unit.kind == CRON_JOB:
        return f"{name} ({_next(unit, survey)})"
    return f"{name} (hostNetwork)" if unit.spec.get("hostNetwork") else name


def _next(unit: Unit, survey: Survey) -> str:
    table = survey.timetables.get(unit.ref)
    if unit.raw["spec"].get("suspend"):
        return "suspended"
    if table is None or table.next is None:
        return f"schedule {unit.raw['spec']['schedule']}"
    return f"next run {datetime.fromtimestamp(table.next, UTC):%Y-%m-%d %H:%M} UTC"


def several(names: Iterable[str]) -> str:
    """`a, b, c and 4 more`."""
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def join(caller: Unit, scene: Scene) -> str:
    """The command that brings a unit's pods into the mesh."""
    if not scene.view(caller).next.proxy:
        return scene.mesh.enrol(caller, scene.survey.planes)
    if caller.kind in _RESTARTED:
        return f"kubectl rollout restart {caller.kind.name.lower()} {caller.name} -n {caller.namespace}"
    return f"make the pods of {caller} anew: the next ones get a proxy"


def excuse(unit: Unit, scene: Scene) -> str:
    """What lets plaintext into all ports that are called."""
    return scene.mesh.excuse(unit, _container_ports(unit, scene), scene.view(unit))


def _container_ports(unit: Unit, scene: Scene) -> tuple[int, ...]:
    """The container ports behind its Services; all declared ones where there is none."""
    declared = [port for it in unit.containers for port in it.get("ports") or ()]
    by_name = {port["name"]: port["containerPort"] for port in declared if "name" in port}
    behind = [
        by_name.get(target, target)
        for service in scene.view(unit).services
        for target in _targets(service["spec"].get("ports") or ())
    ]
    numbers = {port for port in behind if isinstance(port, int)} or {port["containerPort"] for port in declared}
    return tuple(sorted(numbers))


def _targets(ports: Sequence[Any]) -> Iterable[int | str]:
    return (port.get("targetPort") or port["port"] for port in ports)
