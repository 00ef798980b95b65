"""When a plan lets its runs start and go on, read from the plan as it is stored now, and from the freezes about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from rollout.decide.seen import Timing
from rollout.errors import Forbidden, Unsupported
from rollout.plan.base import Json, epoch
from rollout.plan.freeze import Freeze, FreezeSpec, about
from rollout.plan.kinds import CHANGE_FREEZE
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan
from rollout.plan.window import Windows
from rollout.ports.cluster import Cluster


async def stored_freezes(cluster: Cluster) -> Sequence[Json]:
    """All freezes of the cluster; none where the kind is not installed, or may not be read, as `rollout check` says."""
    try:
        return await cluster.list(CHANGE_FREEZE)
    except (Forbidden, Unsupported):
        return ()


def timing_of(plan: CanaryPlan | MeshAdoptionPlan, freezes: Iterable[Json]) -> Timing:
    """Of a plan that was read whole."""
    start_at = epoch(plan.spec.start_at) if plan.spec.start_at else None
    found = _about(freezes, plan.metadata.namespace, plan.metadata.labels)
    return Timing(plan.spec.windows, start_at, freezes=found)


def timing(plan: Json | None, freezes: Iterable[Json]) -> Timing:
    """Of a stored plan, whatever else may be wrong with it: a run under way goes on being looked after."""
    meta, spec = (plan or {}).get("metadata") or {}, (plan or {}).get("spec") or {}
    found = _about(freezes, meta.get("namespace", ""), meta.get("labels") or {})
    try:
        start_at = spec.get("startAt")
        windows = Windows.model_validate(spec.get("windows") or {})
        return Timing(windows, epoch(start_at) if start_at else None, freezes=found)
    except (ValidationError, ValueError, TypeError) as error:
        return Timing(flaw=f"spec.windows or spec.startAt cannot be read: {error}", freezes=found)


def _about(freezes: Iterable[Json], namespace: str, labels: Mapping[str, str]) -> tuple[Freeze, ...]:
    return about(map(_read, freezes), namespace, labels)


def _read(freeze: Json) -> Freeze:
    try:
        return Freeze(freeze["metadata"]["name"], FreezeSpec.model_validate(freeze["spec"]))
    except (ValidationError, KeyError):
        return Freeze(freeze["metadata"]["name"], None)
