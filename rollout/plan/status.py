"""What we write into the status of plans and runs: for people, `kubectl wait` and GitOps; derived from `State`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollout.plan.base import Model
from rollout.plan.run import Phase, State

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A moment in RFC 3339."""


class Condition(Model):
    """One condition, as kstatus reads it."""

    type: Annotated[str, Field(max_length=316)]
    """`Ready`, or one that is there only while something is unusual: `Reconciling`, `Stalled`."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this is about."""
    last_transition_time: Time
    """When `status` changed last."""
    reason: Annotated[str, Field(max_length=1024)]
    """Why, as one word for programs."""
    message: Annotated[str, Field(max_length=32_768)] = ""
    """Why, as a sentence for people."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
"""Conditions, told apart by their type."""


class PlanStatus(Model):
    """How the plan's newest run is doing."""

    observed_generation: int | None = None
    """The generation of the spec that this status is about."""
    phase: Literal["Idle", "Invalid"] | Phase | None = None
    """`Idle`, `Invalid` (the plan itself is wrong, or an older one has its target), or the phase of the newest run."""
    step: Annotated[str, Field(max_length=16)] | None = None
    """The current step, counted from 1, and the number of all: `3/6`."""
    weight: float | None = None
    """Percent of the requests that the candidate is given."""
    run: str | None = None
    """The newest PlanRun."""
    reason: str | None = None
    """Why it is in this phase, as one word for programs."""
    message: str | None = None
    """Why it is in this phase, as a sentence for people."""
    conditions: Conditions = ()
    """`Ready`, `Reconciling` and `Stalled`, as kstatus reads them."""


class AdoptionStatus(PlanStatus):
    """How an adoption's newest run is doing."""

    stage: Annotated[str, Field(max_length=32)] | None = None
    """The present stage: `enrol`, `permissive`, `traffic`, `shadowStrict`, `strict`, `authorize`."""
    doing: Annotated[str, Field(max_length=512)] | None = None
    """The name of the current step: `strict-deployment-web`."""
    units: Annotated[str, Field(max_length=16)] | None = None
    """Workloads that the stage is done with, and all that it has: `3/7`."""
    blockers: Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=64)] = ()
    """Who still blocks STRICT, each with its fix."""


class RunStatus(Model):
    """Where a run is, and all that the engine remembers of it."""

    observed_generation: int | None = None
    """The generation of the spec that this status is about."""
    phase: Phase | None = None
    """Where the run is."""
    step: Annotated[str, Field(max_length=16)] | None = None
    """The current step, counted from 1, and the number of all: `3/6`."""
    weight: float | None = None
    """Percent of the requests that the candidate is given."""
    outcome: Phase | None = None
    """How the run ended, or will end."""
    reason: str | None = None
    """Why it is in this phase, as one word for programs."""
    message: str | None = None
    """Why it is in this phase, as a sentence for people."""
    started_at: Time | None = None
    """When the first step began."""
    ended_at: Time | None = None
    """When nothing of the run was left to do."""
    conditions: Conditions = ()
    """`Ready`, `Reconciling` and `Stalled`, as kstatus reads them."""
    state: State | None = None
    """The engine's memory: position, journal, evidence, story. Nothing else has to be known to go on with the run."""
