"""The stored runs of a plan, as they are in the cluster."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.plan.base import PLAN_LABEL, Json
from rollout.plan.kinds import PLAN_RUN
from rollout.ports.world import World


async def runs_of(world: World, namespace: str, plan: str | None = None) -> list[Json]:
    """The stored runs of a plan (of all plans), the newest first."""
    labels = None if plan is None else {PLAN_LABEL: plan[:63]}  # longer names share a label
    found = await world.cluster.list(PLAN_RUN, namespace, labels)
    mine = [run for run in found if plan in (None, run["spec"]["plan"])]
    return sorted(mine, key=lambda r: (r["metadata"]["creationTimestamp"], r["spec"]["attempt"]), reverse=True)


def ended(run: Json) -> bool:
    """Whether a stored run has ended, without reading all of it."""
    return bool((run.get("status") or {}).get("endedAt"))


def next_attempt(runs: Iterable[Json]) -> int:
    """The number of a plan's next run; old ones may have been discarded, so that there are fewer than were."""
    return 1 + max((run["spec"]["attempt"] for run in runs), default=0)
