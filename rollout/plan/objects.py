"""The objects that people write, whole: apiVersion, kind, metadata and spec."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rollout.plan.adoption import AdoptionSpec
from rollout.plan.base import API_VERSION, Model, Name, ObjectMeta, Rule
from rollout.plan.canary import CanarySpec
from rollout.plan.channel import ChannelSpec
from rollout.plan.freeze import FreezeSpec
from rollout.plan.gate import TemplateSpec


class _Object(BaseModel):
    """Metadata and status are the API server's: we read them, and refuse unknown fields only in `spec`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    api_version: Literal["meshrollout.dev/v1alpha1"] = API_VERSION
    metadata: ObjectMeta
    status: dict[str, Any] | None = None


class CanaryPlan(_Object):
    """How a new version of a workload gets its traffic: step by step, watched, undone when the evidence turns bad."""

    kind: Literal["CanaryPlan"] = "CanaryPlan"
    spec: CanarySpec


class MeshAdoptionPlan(_Object):
    """How a namespace enters a service mesh: stage by stage, workload by workload, gated and reversible."""

    kind: Literal["MeshAdoptionPlan"] = "MeshAdoptionPlan"
    spec: AdoptionSpec


class MetricTemplate(_Object):
    """A reusable query that gates can name."""

    kind: Literal["MetricTemplate"] = "MetricTemplate"
    spec: TemplateSpec


class NotificationChannel(_Object):
    """Where to tell whom about what happens to runs."""

    kind: Literal["NotificationChannel"] = "NotificationChannel"
    spec: ChannelSpec


class ChangeFreeze(_Object):
    """A time in which nothing may change, in the whole cluster or in a part of it."""

    kind: Literal["ChangeFreeze"] = "ChangeFreeze"
    spec: FreezeSpec


class DecisionSpec(Model):
    """An order for one run. Immutable; consumed once."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO170",
            "!has(self.full) || !self.full || self.verb == 'promote'",
            "full goes with the verb promote only",
            lambda it: not it.full or it.verb == "promote",
        ),
        Rule(
            "RO171",
            "!has(self.step) || self.verb != 'undo'",
            "an undo is for the whole run and names no step",
            lambda it: it.step is None or it.verb != "undo",
        ),
        Rule(
            "RO172",
            "!has(self.toRevision) || self.verb == 'undo'",
            "toRevision goes with the verb undo only",
            lambda it: it.to_revision is None or it.verb == "undo",
        ),
    )

    kind: Literal["CanaryPlan", "MeshAdoptionPlan"] = "CanaryPlan"
    """The kind of the plan of that run."""
    plan: Name
    """The plan of that run: the rights to give an order are verbs on it."""
    run: Name
    """The PlanRun it is for."""
    run_uid: Annotated[str, Field(max_length=64)]
    """The run's UID, so that a decision kept in Git never promotes the next run."""
    verb: Literal["promote", "abort", "pause", "resume", "retry", "skip", "undo"]
    """What to do."""
    step: Annotated[int, Field(ge=0, le=200)] | None = None
    """The index of the step it is meant for; stale once the run has passed it."""
    full: bool = False
    """For promote: skip what is left of the analysis."""
    to_revision: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """For undo: the Deployment's revision to go back to; the stable one when absent, and while the run is under way."""
    by: Annotated[str, Field(max_length=256)] = ""
    """Who ordered it."""
    groups: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(default=(), max_length=32)
    """Groups of whoever orders it, where the step asks for some; the API server refuses one that he is not in."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """Why."""
    expires: Annotated[str, Field(max_length=40)] | None = None
    """Not valid after this RFC 3339 time."""


class PlanDecision(_Object):
    """An order of a person to one run: promote, abort, pause, resume, retry, skip, undo."""

    kind: Literal["PlanDecision"] = "PlanDecision"
    spec: DecisionSpec


Plan = CanaryPlan | MeshAdoptionPlan
"""What runs are made from."""
Document = CanaryPlan | MeshAdoptionPlan | MetricTemplate | NotificationChannel | ChangeFreeze | PlanDecision
