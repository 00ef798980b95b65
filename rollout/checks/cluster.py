"""The cluster itself: reachable, new enough, with our kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.checks.subject import Checker, Subject
from rollout.errors import RolloutError
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import METRIC_TEMPLATE, PLAN_DECISION, PLAN_RUN, Kind
from rollout.ports.cluster import Cluster

_ALWAYS: Final = (PLAN_RUN, PLAN_DECISION, METRIC_TEMPLATE)


async def missing(cluster: Cluster, *plans: Kind) -> list[str]:
    """The names of the kinds that plans of these kinds need and the API server does not know."""
    return [kind.name for kind in (*plans, *_ALWAYS) if not await cluster.serves(kind)]


async def reachable(subject: Subject) -> Sequence[Finding]:
    """Whether the API server answers."""
    try:
        await subject.world.cluster.version()
    except RolloutError as error:
        fix = error.hint or "look at the context: kubectl config current-context"
        return [Finding("RO201", Level.ERROR, f"the Kubernetes API does not answer: {error}", fix=fix)]
    return []


async def kinds(subject: Subject) -> Sequence[Finding]:
    """Whether our kinds are installed."""
    lacking = await missing(subject.world.cluster, *subject.kinds)
    if not lacking:
        return []
    return [Finding("RO202", Level.ERROR, f"not installed: {', '.join(lacking)}", fix="rollout crds apply")]


CHECKERS: Final = (
    Checker("cluster-api", "cluster", "Kubernetes API is reachable", reachable, fatal=True, needs_plan=False),
    Checker("cluster-kinds", "cluster", "CanaryPlan and its kin are installed", kinds, fatal=True, needs_plan=False),
)
