"""How many pods a unit has, and how many more or fewer while it restarts."""

from __future__ import annotations

import math

from rollout.plan.kinds import CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, POD
from rollout.ports.mesh import Unit


def size(unit: Unit) -> int:
    """Pods that it wants at a time."""
    spec = unit.raw.get("spec") or {}
    if unit.kind == POD:
        return 1
    if unit.kind == DAEMON_SET:
        return int((unit.raw.get("status") or {}).get("desiredNumberScheduled") or len(unit.pods))
    if unit.kind == CRON_JOB:
        return int(spec["jobTemplate"]["spec"].get("parallelism", 1))
    return int(spec.get("parallelism" if unit.kind == JOB else "replicas", 1))


def surge(unit: Unit) -> int:
    """Pods above that while it restarts."""
    if unit.kind == DEPLOYMENT:
        return 0 if recreates(unit) else _part(_rolling(unit).get("maxSurge", "25%"), size(unit), up=True)
    return _part(_rolling(unit).get("maxSurge", 0), size(unit), up=True) if unit.kind == DAEMON_SET else 0


def missing(unit: Unit) -> int:
    """Pods below that while it restarts; of a StatefulSet one at a time."""
    if unit.kind == DEPLOYMENT:
        if recreates(unit):
            return size(unit)
        # without room above and below it could not move at all: the Deployment controller takes one then
        return _part(_rolling(unit).get("maxUnavailable", "25%"), size(unit)) or (0 if surge(unit) else 1)
    default = 0 if surge(unit) else 1
    return _part(_rolling(unit).get("maxUnavailable", default), size(unit), up=True)


def recreates(unit: Unit) -> bool:
    """Whether all pods go before the first new one comes."""
    return _strategy(unit).get("type") == "Recreate"


def _part(value: int | str, whole: int, *, up: bool = False) -> int:
    """A number, or a percentage of the whole. Deployments round what may be missing down, others up."""
    if isinstance(value, int):
        return value
    share = whole * int(value.removesuffix("%")) / 100
    return math.ceil(share) if up else math.floor(share)


def _rolling(unit: Unit) -> dict[str, int | str]:
    return _strategy(unit).get("rollingUpdate") or {}  # type: ignore[return-value]


def _strategy(unit: Unit) -> dict[str, object]:
    spec = unit.raw.get("spec") or {}
    return spec.get("strategy") or spec.get("updateStrategy") or {}
