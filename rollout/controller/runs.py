"""The stored runs of a plan, as they are in the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rollout.plan.base import PLAN_LABEL, Json, label_value
from rollout.plan.kinds import PLAN_RUN, Ref, plan_of
from rollout.ports.world import World


async def runs_of(world: World, plan: Ref) -> list[Json]:
    """The stored runs of a plan, the newest first. A plan of another kind may have the same name."""
    labels = {PLAN_LABEL: label_value(plan.name)}  # longer names share a label
    found = await world.cluster.list(PLAN_RUN, plan.namespace, labels)
    return _newest_first(run for run in found if plan_of(run) == plan)


async def runs_in(world: World, namespace: str) -> list[Json]:
    """The stored runs of all plans of a namespace (of all when it is empty), the newest first."""
    return _newest_first(await world.cluster.list(PLAN_RUN, namespace))


def ended(run: Json) -> bool:
    """Whether a stored run has ended, without reading all of it."""
    return bool((run.get("status") or {}).get("endedAt"))


def under_way(runs: Sequence[Json]) -> Json | None:
    """The oldest run that has not ended, of some that are listed the newest first."""
    return next((run for run in reversed(runs) if not ended(run)), None)


def next_attempt(runs: Iterable[Json]) -> int:
    """The number of a plan's next run; old ones may have been discarded, so that there are fewer than were."""
    return 1 + max((run["spec"]["attempt"] for run in runs), default=0)


def _newest_first(runs: Iterable[Json]) -> list[Json]:
    return sorted(runs, key=lambda r: (r["metadata"]["creationTimestamp"], r["spec"]["attempt"]), reverse=True)
