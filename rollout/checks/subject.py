"""What checkers look at, and what they give back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rollout.errors import Forbidden, NotFound, RolloutError, Unsupported
from rollout.observe.observer import read_target
from rollout.observe.workload import full_size
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.gate import TemplateSpec
from rollout.plan.holdpolicy import NAME as HOLD_POLICY
from rollout.plan.kinds import CANARY_PLAN, METRIC_TEMPLATE, MUTATING_BINDING, PLANS, Kind, Ref
from rollout.plan.objects import CanaryPlan, MetricTemplate
from rollout.plan.parse import from_object
from rollout.plan.program import Program
from rollout.plan.strategy import Facts
from rollout.ports.world import World

CATEGORIES: Final = ("cluster", "permissions", "hold", "target", "routing", "metrics")
"""In the order in which they build on each other."""

HoldMode = Literal["policy", "paused"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One plan with its surroundings, or only a namespace of a cluster."""

    world: World
    namespace: str
    plan: CanaryPlan | None = None
    program: Program | None = None
    deployment: Json | None = None
    replica_sets: Sequence[Json] = ()
    hold_mode: HoldMode = "paused"
    kinds: tuple[Kind, ...] = PLANS
    """The kind of the plan; without one, of plans that might come."""
    unattended: bool = False
    """A controller asks, not a person: plans and orders are stored by others, and it leads by a lease of its own."""
    applies: frozenset[Kind] = frozenset()
    """Kinds of the manifests that an adoption brings."""

    @property
    def stable(self) -> Json | None:
        """The ReplicaSet that has the pods."""
        return full_size(self.replica_sets)

    @property
    def where(self) -> str:
        """The target, for messages."""
        name = self.plan.spec.target.name if self.plan and self.plan.spec.target else ""
        return f"Deployment/{name} in {self.namespace}"


Check = Callable[[Subject], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is looked at, with a stable id."""

    id: str
    category: str
    description: str
    """What is true when it finds nothing."""


@dataclass(frozen=True, slots=True)
class Checker(Question):
    """One question about a plan and its surroundings; its category is one of `CATEGORIES`."""

    check: Check
    fatal: bool = False
    """Nothing after it makes sense when it fails."""
    needs_plan: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What one checker said. `skipped` says why it could not look."""

    checker: Question
    findings: tuple[Finding, ...] = ()
    skipped: str = ""
    after: str = ""
    """The id of the fatal checker that came first, if that is why."""

    @property
    def state(self) -> Literal["ok", "warning", "error", "skipped"]:
        """The worst of it; information is no fault."""
        if self.skipped:
            return "skipped"
        levels = {it.level for it in self.findings}
        return "error" if Level.ERROR in levels else "warning" if Level.WARNING in levels else "ok"


async def read(world: World, document: CanaryPlan, templates: Mapping[str, TemplateSpec]) -> Subject:
    """A plan with all that the checkers need to know about it; `templates` come on top of the stored ones.

    Raises:
        InvalidInput: the plan cannot be compiled.
    """
    namespace, spec = document.metadata.namespace, document.spec
    mode = await hold_mode(world, document)
    strategy = world.strategies.get(spec.strategy)
    if strategy is None:
        names = ", ".join(sorted(world.strategies))
        raise Unsupported(f"strategy {spec.strategy} is not installed", hint=f"use one of {names}")
    deployment, sets, _ = await read_target(world, namespace, spec.target.name if spec.target else "")
    stable = full_size(sets)
    hash_ = stable["metadata"]["labels"]["pod-template-hash"] if stable else ""
    known = await templates_of(world, namespace)
    program = strategy.compile(document, Facts("preflight", hash_, mode, {**known, **templates}))
    return Subject(world, namespace, document, program, deployment, tuple(sets), mode, (CANARY_PLAN,))


async def templates_of(world: World, namespace: str) -> dict[str, TemplateSpec]:
    """The MetricTemplates of a namespace by name."""
    stored = [from_object(raw) for raw in await world.cluster.list(METRIC_TEMPLATE, namespace)]
    return {t.metadata.name: t.spec for t in stored if isinstance(t, MetricTemplate)}


async def hold_mode(world: World, plan: CanaryPlan) -> HoldMode:
    """How new revisions are held here: what the plan says, or for `auto` the policy where it is installed."""
    if plan.spec.hold.mode != "auto":
        return plan.spec.hold.mode
    return "policy" if await policy_bound(world) else "paused"


async def policy_bound(world: World) -> bool:
    """Whether the hold policy is installed, as far as we may look."""
    try:
        return await world.cluster.get(Ref(MUTATING_BINDING, "", HOLD_POLICY)) is not None
    except (Forbidden, Unsupported, NotFound):
        return False


async def listed(subject: Subject, kind: Kind) -> list[Json]:
    """All of a kind in the namespace; none where the kind is not served.

    Raises:
        RolloutError: it may not be looked at.
    """
    try:
        return await subject.world.cluster.list(kind, subject.namespace)
    except Unsupported:
        return []


def unseen(error: RolloutError) -> str:
    """Why a checker could not look."""
    return f"{error}" + (f"; {error.hint}" if error.hint else "")
