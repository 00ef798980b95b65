"""MeshAdoptionPlan: how a namespace enters a mesh, as people write it in Git.

A stage that is left out is not done; `stages: {}` does the classic ones: enrol, permissive, shadow strict, strict.
Manifests and who stays outside are in `written`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from rollout.plan.base import Duration, Model, Moment, Name, Rule
from rollout.plan.gate import MetricLabels, Provider, Thresholds
from rollout.plan.window import ALWAYS, Windows
from rollout.plan.written import Manifest, MeshException, Policy, UnitRef

OnTrouble = Literal["step", "stage", "all", "hold"]
"""What is undone when a step fails."""
_COUNTED: Final = Rule(
    "RO240",
    "!has(self.gates) || self.gates.all(gate, !has(gate.metric))",
    "a gate of an adoption asks by query or template: success and slow compare a candidate, and there is none; "
    "both are watched for every workload anyway",
    lambda it: all(gate.metric is None for gate in it.gates or ()),
)


class Mesh(Model):
    """The mesh that is entered."""

    driver: Annotated[str, Field(max_length=63)] = "istio"
    """The driver's name, as in `rollout version`."""
    namespace: Name | None = None
    """Where its control plane is; the driver's usual namespace when absent."""
    revision: Annotated[str, Field(max_length=63)] = ""
    """The revision or tag of the control plane that injects; the default one when empty."""


class Approval(Model):
    """Wait for a person before a stage begins."""

    within: Duration = "7d"
    """How long to wait."""
    otherwise: Literal["hold", "rollback", "promote"] = "hold"
    """What happens when nobody answers in time: stay and be held, undo the whole run, or go on."""


class Stage(Model):
    """What all stages have."""

    rules: ClassVar[tuple[Rule, ...]] = (_COUNTED,)

    observe: Duration | None = None
    """How long the gates watch after each of its steps; `analysis.observe` when absent."""
    gates: Thresholds | None = None
    """Gates besides those that the mesh's driver brings; `analysis.gates` when absent, none more when empty."""
    deadline: Duration | None = None
    """How long one of its steps may take in all, waiting included; `analysis.deadline` when absent."""
    approve: Approval | None = None
    """Wait for a person before the stage begins."""
    on_failure: OnTrouble | None = None
    """What is undone when one of its steps fails; then the run is held. `spec.onFailure` when absent."""


class Enrolment(Stage):
    """Proxies, workload by workload, by the pod template; the namespace's label comes last."""

    label_namespace: bool = True
    """Label the namespace when all workloads are in, so that new ones are in from their start."""


class Permissive(Stage):
    """Say explicitly that plaintext and mTLS are both accepted. `strict` brings it with it."""


class Traffic(Stage):
    """The user's own manifests, one at a time, each with its exact inverse."""

    apply: Annotated[tuple[Manifest, ...], Field(min_length=1, max_length=32)]
    """Manifests of the mesh's kinds, in this order. A VirtualService that injects faults is a drill: it is withdrawn
    after `observe`."""


class ShadowStrict(Stage):
    """Count what STRICT would refuse; go on when nobody is left whom it would cut off."""

    window: Duration = "1d"
    """How much traffic is looked at; never less than the longest pause between two runs of a CronJob."""


class Strict(Stage):
    """Accept mTLS only: some pods, then the workload, then the namespace."""

    pods: Annotated[int, Field(ge=0, le=100)] = 1
    """So many pods of each workload first, by a label of their own; 0 leaves that step out."""


class Authorize(Stage):
    """Authorization policies: all are counted first, then enforced one by one, deny by default last."""

    policies: Annotated[tuple[Policy, ...], Field(min_length=1, max_length=64)]
    """AuthorizationPolicies of the namespace, in the order in which they are enforced."""
    window: Duration = "1d"
    """How much of what they would refuse is looked at before one is enforced."""
    deny_by_default: bool = False
    """At the end, refuse whatever no policy allows."""


class Stages(Model):
    """The stages, in their fixed order."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO241",
            "!has(self.authorize) || has(self.strict)",
            "authorize goes with strict: only mTLS proves who calls (a stage that is done already costs nothing)",
            lambda it: it.authorize is None or it.strict is not None,
        ),
    )

    enrol: Enrolment | None = None
    """Proxies, workload by workload."""
    permissive: Permissive | None = None
    """Plaintext and mTLS, explicitly."""
    traffic: Traffic | None = None
    """Routing, retries, timeouts, and whatever else the mesh offers."""
    shadow_strict: ShadowStrict | None = None
    """Count what mTLS only would refuse."""
    strict: Strict | None = None
    """mTLS only."""
    authorize: Authorize | None = None
    """Who may call whom."""


class AdoptionAnalysis(Model):
    """What every step has in common, unless its stage says otherwise."""

    rules: ClassVar[tuple[Rule, ...]] = (_COUNTED,)

    interval: Duration = "15s"
    """Time between two looks at the metrics."""
    observe: Duration = "1m"
    """How long the gates watch after each step."""
    warmup: Duration = "0s"
    """Looks in the first part of each step are recorded, not judged."""
    deadline: Duration = "1h"
    """How long a step may take in all, waiting for pods or data included. Shadow steps may take their window more."""
    gates: Thresholds = ()
    """Gates of every step, besides those that the mesh's driver brings. One that names `${workload}` watches the steps
    of one workload only."""
    provider: Provider | None = None
    """Where metrics come from; the engine's `--prometheus` when absent."""
    labels: MetricLabels = MetricLabels()
    """Names in the mesh's metrics."""


Wave = Annotated[tuple[UnitRef, ...], Field(min_length=1, max_length=64)]
"""Workloads that come one after the other."""


class Budget(Model):
    """What one proxy may cost."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO244",
            "has(self.cpu) || has(self.memory)",
            "a budget has cpu, memory, or both",
            lambda it: it.cpu is not None or it.memory is not None,
        ),
    )

    cpu: Annotated[float, Field(gt=0, le=64)] | None = None
    """Cores, on average."""
    memory: Annotated[int, Field(gt=0)] | None = None
    """Bytes."""


class AdoptionSpec(Model):
    """What a MeshAdoptionPlan holds."""

    strategy: Annotated[str, Field(min_length=1, max_length=63)] = "mesh-adoption"
    """The name of the strategy that compiles this plan into steps."""
    mesh: Mesh = Mesh()
    """Which mesh."""
    waves: Annotated[tuple[Wave, ...], Field(max_length=64)] = ()
    """The order of workloads; those that are not named follow, the least called first."""
    stages: Stages = Stages()
    """What is done; the classic stages when empty."""
    exceptions: Annotated[tuple[MeshException, ...], Field(max_length=64)] = ()
    """Who stays outside, and until when."""
    analysis: AdoptionAnalysis = AdoptionAnalysis()
    """How it is watched."""
    budget: Budget | None = None
    """What a proxy may cost; not watched when absent."""
    drift: Literal["heal", "hold"] = "heal"
    """When somebody else takes back what a step wrote: write it again, twice at most, or stop and ask at once."""
    on_failure: OnTrouble = "step"
    """What is undone when a step fails; then the run is held and waits for a person. `step`: what was done to this
    workload in this stage."""
    windows: Windows = ALWAYS
    """When a run may start and go on."""
    start_at: Moment | None = None
    """No run begins before this time."""
    history: Annotated[int, Field(ge=1, le=50)] = 5
    """How many ended runs are kept."""
