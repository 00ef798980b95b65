"""When a plan lets its runs start and go on, read from the plan as it is stored now."""

from __future__ import annotations

from pydantic import ValidationError

from rollout.decide.seen import Timing
from rollout.plan.adoption import AdoptionSpec
from rollout.plan.base import Json, epoch
from rollout.plan.canary import CanarySpec
from rollout.plan.window import Windows


def timing_of(spec: CanarySpec | AdoptionSpec) -> Timing:
    """Of a plan that was read whole."""
    return Timing(spec.windows, epoch(spec.start_at) if spec.start_at else None)


def timing(plan: Json | None) -> Timing:
    """Of a stored plan, whatever else may be wrong with it: a run under way goes on being looked after."""
    spec = (plan or {}).get("spec") or {}
    try:
        start_at = spec.get("startAt")
        return Timing(Windows.model_validate(spec.get("windows") or {}), epoch(start_at) if start_at else None)
    except (ValidationError, ValueError, TypeError) as error:
        return Timing(flaw=f"spec.windows or spec.startAt cannot be read: {error}")
