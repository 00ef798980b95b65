"""What the engine is shown: one observation of the world, already parsed, nothing raw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rollout.plan.finding import Finding
from rollout.plan.freeze import Freeze
from rollout.plan.run import LineKey, Verb
from rollout.plan.window import ALWAYS, Windows


@dataclass(frozen=True, slots=True)
class ReplicaSetView:
    """One revision of the target Deployment."""

    hash: str
    """pod-template-hash."""
    digest: str
    replicas: int
    ready: int
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Workload:
    """The target Deployment and its revisions."""

    uid: str
    desired: int
    """spec.replicas, as its owner or its autoscaler wants it."""
    digest: str
    """Digest of the template it asks for."""
    paused: bool
    held: bool
    """A new template is being kept from rolling."""
    replica_sets: tuple[ReplicaSetView, ...] = ()
    """Those with pods, and recent ones without; newest first."""
    stuck: str = ""
    """Why its own roll does not go on, in the Deployment controller's words."""
    settled: bool = True
    """The Deployment controller has seen the newest spec."""
    holder: str = ""
    """The plan that new revisions are held for, by the Deployment's own label."""
    restart_only: bool = False
    """The template differs from stable by `kubectl rollout restart` alone."""
    marked: bool = False
    """It carries the mark of the hold, which a release takes off; what is paused without it, somebody else paused."""

    def by_hash(self, hash_: str) -> ReplicaSetView | None:
        """The revision with this pod-template-hash."""
        return next((rs for rs in self.replica_sets if rs.hash == hash_), None)

    def asked(self, digest: str) -> bool:
        """Whether the Deployment has asked for this template before, and still knows it."""
        return any(rs.digest == digest for rs in self.replica_sets)

    @property
    def rolled(self) -> bool:
        """Every pod is of the template that is asked for, and ready."""
        with_pods = [rs for rs in self.replica_sets if rs.replicas > 0]
        return (
            not self.held
            and self.settled
            and len(with_pods) == 1
            and with_pods[0].digest == self.digest
            and with_pods[0].ready >= self.desired
        )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why pods of the candidate are not ready. `broken`: a bad version.  `blocked`: the cluster cannot take it."""

    kind: Literal["broken", "blocked"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CandidateView:
    """The candidate Deployment."""

    uid: str
    replicas: int
    ready: int
    settled: bool
    """Its controller has seen the newest spec."""
    deleting: bool = False
    ours: bool = True
    """It carries this run's UID."""
    trouble: Trouble | None = None
    unreached: str = ""
    """Why requests do not find all of its pods, by their labels."""
    lost: bool = False
    """They find none of them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the world is from what an instruction of an adoption, or the undoing of a journal line, wants."""

    done: bool
    text: str = ""
    """What is still missing, for people: `1 of 3 pods have a ready proxy`."""
    write: bool = False
    """Something is to be written; otherwise what was written takes its time."""
    trouble: Trouble | None = None
    """Why it will not come by waiting. `broken`: what was done is bad, go back.  `blocked`: somebody else has to act;
    the message says who and what."""
    contested: bool = False
    """What was written has been there, and somebody has put back what was before."""


@dataclass(frozen=True, slots=True)
class Order:
    """A decision of a person that is bound to this run and not yet consumed."""

    uid: str
    verb: Verb
    by: str
    reason: str
    step: int | None = None
    """The step it was given for; None means any."""
    full: bool = False
    """For promote: skip what is left of the analysis."""
    expires: float | None = None
    to_revision: int | None = None
    """For undo: the revision to go back to; None means stable."""
    name: str = ""
    """The PlanDecision's name."""
    content: str = ""
    """A digest of its name and all that it says: the same again when it was deleted and created anew."""
    created: float | None = None
    groups: tuple[str, ...] = ()
    """Groups of who gave it that it mentions; the API server has checked them."""
    flaw: str = ""
    """Why it cannot be obeyed, whatever it orders."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the routes say; see `ports.router.RouteView`."""

    where: Literal["home", "steered", "mixed"]
    weight: float = 0.0
    drift: str = ""
    leftovers: bool = False
    """Objects of ours that routes may name still exist."""
    pending: str = ""
    refused: str = ""
    matched: bool = False
    mirrored: float = 0.0

    @property
    def used(self) -> bool:
        """Whether the candidate gets any request by our routes, or the copy of one."""
        return self.weight > 0 or self.matched or self.mirrored > 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The answer to one gate's question; see `ports.metrics.Reading`."""

    status: Literal["value", "no-data", "stale", "many", "unknown"]
    query: str
    value: float | None = None
    pods: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    detail: str = ""
    peer: Sample | None = None
    """The answer to the same question about stable, for gates that ask it."""
    bursts: tuple[tuple[float, ...], ...] = ()
    """How much stable's pods differed before the run, as evidence keeps it. At a gate's first look only."""
    within: Mapping[float, float] = field(default_factory=dict)
    """How many of all requests were at most as slow as each edge, seconds; where no bound was asked for."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Where the candidate's pods are, as far as it is known. For people: no verdict comes from it."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The answers for a condition, by the names that it calls them by."""


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """How the latest call of a hook stands; `absent`: nobody knows of it, or its Job is not there."""

    status: Literal["running", "passed", "failed", "absent"]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """When the plan lets its runs start and go on, as it says now: to widen a window helps a run under way."""

    windows: Windows = ALWAYS
    start_at: float | None = None
    flaw: str = ""
    """Why it cannot be read: what cannot be read allows nothing."""
    freezes: tuple[Freeze, ...] = ()
    """Those that are about the plan."""

    @property
    def zone(self) -> str:
        """Whose clock people are told times by."""
        return self.windows.zone


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation."""

    plan_exists: bool
    route: Route
    workload: Workload | None = None
    """None when there is no such Deployment (or the plan has none: see `Program.workload`)."""
    candidate: CandidateView | None = None
    samples: Mapping[str, Sample] = field(default_factory=dict)
    """By gate name; only gates that were due."""
    orders: tuple[Order, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Errors of the preflight; looked for only before the first step."""
    progress: Mapping[int, Progress] = field(default_factory=dict)
    """Of the present step's instructions that a mesh driver makes come true, by their index."""
    undone: Mapping[LineKey, Progress] = field(default_factory=dict)
    """Of the journal's lines of an adoption, where they are to be undone: whether the world is as before them."""
    hooks: Mapping[str, HookAnswer] = field(default_factory=dict)
    """By name, of calls that were not answered or whose Jobs may still be there."""
    timing: Timing = field(default_factory=Timing)
