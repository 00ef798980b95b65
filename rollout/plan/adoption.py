"""MeshAdoptionPlan: how a namespace enters a mesh, as people write it in Git.

A stage that is left out is not done; `stages: {}` does the classic ones: enrol, permissive, shadow strict, strict.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from rollout.plan.base import Duration, Model, Name, Rule
from rollout.plan.canary import Approve
from rollout.plan.gate import Gates, MetricLabels, Provider

UnitKind = Literal["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod", "ReplicaSet"]


class UnitRef(Model):
    """A workload of the plan's namespace."""

    kind: UnitKind = "Deployment"
    """Its kind."""
    name: Name
    """Its name."""


class Mesh(Model):
    """The mesh that is entered."""

    driver: Annotated[str, Field(max_length=63)] = "istio"
    """The driver's name, as in `rollout version`."""
    namespace: Name | None = None
    """Where its control plane is; the driver's usual namespace when absent."""
    revision: Annotated[str, Field(max_length=63)] = ""
    """The revision or tag of the control plane that injects; the default one when empty."""


class MeshException(Model):
    """Somebody who stays outside, or a port that goes on accepting plaintext: with a reason, and not for ever."""

    workload: UnitRef
    """Whose exception it is."""
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(default=(), max_length=32)
    """Container ports that go on accepting plaintext; the whole workload stays out of the mesh when empty."""
    reason: Annotated[str, Field(min_length=1, max_length=512)]
    """Why."""
    until: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """The last day it holds, `2027-03-31`. A plan whose exception is over is not Ready."""


class Stage(Model):
    """What all stages have."""

    observe: Duration | None = None
    """How long the gates watch after each of its steps; `analysis.observe` when absent."""
    gates: Gates | None = None
    """Gates besides those that the stage has anyway; the plan's gates when absent."""
    deadline: Duration | None = None
    """How long one of its steps may take in all; `analysis.deadline` when absent."""
    approve: Approve | None = None
    """Wait for a person before the stage begins."""
    on_failure: Literal["step", "stage", "all", "hold"] | None = None
    """What is undone when a step fails; then the run is held. `spec.onFailure` when absent."""


class Enrolment(Stage):
    """Proxies, workload by workload, by the pod template; the namespace's label comes last."""

    label_namespace: bool = True
    """Label the namespace when all workloads are in."""


class Permissive(Stage):
    """Say explicitly that plaintext and mTLS are both accepted."""


class Traffic(Stage):
    """The user's own manifests, one at a time, each with its exact inverse."""

    apply: Annotated[tuple[dict[str, Any], ...], Field(max_length=32)] = ()
    """Manifests of the mesh's kinds, in this order."""


class ShadowStrict(Stage):
    """Count what STRICT would refuse; go on when nobody is left whom it would cut off."""

    window: Duration = "1h"
    """How much traffic is looked at; it should be as long as the longest pause of a CronJob."""


class Strict(Stage):
    """Accept mTLS only: some pods, then the workload, then the namespace."""

    pods: Annotated[int, Field(ge=0, le=100)] = 1
    """So many pods of each workload first, by a label of their own; 0 leaves that step out."""


class Authorize(Stage):
    """Authorization policies: counted first, then enforced workload by workload, deny by default last."""

    policies: Annotated[tuple[dict[str, Any], ...], Field(max_length=64)] = ()
    """AuthorizationPolicies of the namespace."""
    window: Duration = "1h"
    """How long each is counted before it is enforced."""
    deny_by_default: bool = False
    """At the end, refuse whatever no policy allows."""


class Stages(Model):
    """The stages, in their fixed order."""

    enrol: Enrolment | None = None
    """Proxies."""
    permissive: Permissive | None = None
    """Both."""
    traffic: Traffic | None = None
    """Routing, retries, timeouts, and whatever else the mesh offers."""
    shadow_strict: ShadowStrict | None = None
    """Count only."""
    strict: Strict | None = None
    """mTLS only."""
    authorize: Authorize | None = None
    """Who may call whom."""


class AdoptionAnalysis(Model):
    """What every step has in common, unless its stage says otherwise."""

    interval: Duration = "15s"
    """Time between two looks at the metrics."""
    observe: Duration = "1m"
    """How long the gates watch after each step."""
    warmup: Duration = "0s"
    """Looks in the first part of each step are recorded, not judged."""
    deadline: Duration = "1h"
    """How long a step may take in all, waiting for people, pods or data included."""
    gates: Gates = ()
    """Gates of every step, besides those that the mesh's driver brings."""
    provider: Provider | None = None
    """Where metrics come from; the engine's `--prometheus` when absent."""
    labels: MetricLabels = MetricLabels()
    """Names in the mesh's metrics."""


class Budget(Model):
    """What one proxy may cost."""

    cpu: Annotated[float, Field(gt=0, le=64)] | None = None
    """Cores, on average."""
    memory: Annotated[int, Field(gt=0)] | None = None
    """Bytes."""


class AdoptionSpec(Model):
    """What a MeshAdoptionPlan holds."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    strategy: Annotated[str, Field(min_length=1, max_length=63)] = "mesh-adoption"
    """The name of the strategy that compiles this plan into steps."""
    mesh: Mesh = Mesh()
    """Which mesh."""
    waves: Annotated[tuple[tuple[UnitRef, ...], ...], Field(max_length=64)] = ()
    """The order of workloads; those that are not named follow, by the traffic that was seen."""
    stages: Stages = Stages()
    """What is done; the classic stages when empty."""
    exceptions: Annotated[tuple[MeshException, ...], Field(max_length=64)] = ()
    """Who stays outside, and until when."""
    analysis: AdoptionAnalysis = AdoptionAnalysis()
    """How it is watched."""
    budget: Budget | None = None
    """What a proxy may cost."""
    on_failure: Literal["step", "stage", "all", "hold"] = "step"
    """What is undone when a step fails; then the run is held and waits for a person."""
    history: Annotated[int, Field(ge=1, le=50)] = 5
    """How many ended runs are kept."""
