"""Plans that wait for others: for those that they name, and for their place in a namespace.

All of it is derived from what is stored (plans, runs, Deployments), so that another controller finds the same.  Reads
come from the watches: looking again costs no request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.controller.resting import SOON
from rollout.controller.runs import ended, runs_of, under_way
from rollout.decide.keeping import Standstill
from rollout.decide.reason import Reason
from rollout.decide.rest import rest_of_workload
from rollout.observe.observer import read_target
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, PLAN_RUN, Ref, plan_of
from rollout.plan.objects import CanaryPlan
from rollout.plan.run import Phase
from rollout.plan.waits import circle
from rollout.ports.world import World

_NAMED: Final = 3
"""So many runs are named in a message."""


async def circle_of(world: World, plan: CanaryPlan) -> str:
    """Why this plan could never begin: it waits for itself, by way of others. Empty when it does not."""
    if not plan.spec.depends_on:
        return ""
    plans = await world.cluster.list(CANARY_PLAN, plan.metadata.namespace)
    waits = {it["metadata"]["name"]: it["spec"].get("dependsOn") or () for it in plans}
    found = circle(plan.metadata.name, waits)
    return f"dependsOn goes in a circle: {' waits for '.join(found)}; take one of them out" if found else ""


async def depends(world: World, plan: CanaryPlan) -> Standstill | None:
    """The first of the plans that it names which has not succeeded with what it asks for now."""
    for name in plan.spec.depends_on:
        why = await _unfinished(world, Ref(CANARY_PLAN, plan.metadata.namespace, name))
        if why:
            text = f"waits for plan {name}: {why}"
            return Standstill(Reason.WAITS_FOR_PLAN, text, world.clock.now() + SOON)
    return None


async def _unfinished(world: World, ref: Ref) -> str:
    """What a plan still has to do; empty when what it asks for is what runs."""
    found = await world.cluster.get(ref)
    if found is None:
        return "it does not exist"
    runs = await runs_of(world, ref)
    active = under_way(runs)
    if active is not None:
        return f"run {active['metadata']['name']} is under way"
    target = (found["spec"].get("target") or {}).get("name")
    if not target:
        return _not_shifted(found, runs)
    _, _, work = await read_target(world, ref.namespace, target)
    rest = rest_of_workload(target, work, None, again=False)
    if rest.act == "rest":
        return ""
    return f"Deployment/{target} asks for a version that has not succeeded" if rest.act == "start" else rest.message


def _not_shifted(plan: Json, runs: Sequence[Json]) -> str:
    """A traffic-only plan asks for what its spec says."""
    newest = runs[0] if runs else {"spec": {"planGeneration": 0}}
    done = (newest.get("status") or {}).get("phase") == Phase.SUCCEEDED
    current = newest["spec"]["planGeneration"] >= plan["metadata"].get("generation", 1)
    return "" if done and current else "its traffic has not been shifted"


async def queued(world: World, plan: CanaryPlan) -> Standstill | None:
    """Its place, when so many runs as it allows are under way in its namespace, or others were before it."""
    most, namespace = plan.spec.at_most, plan.metadata.namespace
    if most is None:
        return None
    runs = await world.cluster.list(PLAN_RUN, namespace)
    going = sorted(it["metadata"]["name"] for it in runs if not ended(it) and plan_of(it).kind == CANARY_PLAN)
    plans = await world.cluster.list(CANARY_PLAN, namespace)
    queue = sorted(_since(it) for it in plans if _waits(it, plan.metadata.name))
    place = next((n for n, (_, name) in enumerate(queue, 1) if name == plan.metadata.name), len(queue) + 1)
    if len(going) + place <= most:
        return None
    some = ", ".join(going[:_NAMED]) + (", ..." if len(going) > _NAMED else "")
    text = f"place {place} of {max(place, len(queue))} in the queue: {len(going)} of at most {most} runs are under way"
    text += f" in {namespace}" + (f" ({some})" if some else "")
    return Standstill(Reason.QUEUED, text, world.clock.now() + SOON)


def _waits(plan: Json, name: str) -> bool:
    """Whether a plan is in the queue. Who asks for his place is, whatever his status says yet."""
    waiting = (plan.get("status") or {}).get("reason") == Reason.QUEUED and "deletionTimestamp" not in plan["metadata"]
    return waiting or plan["metadata"]["name"] == name


def _since(plan: Json) -> tuple[str, str]:
    """Since when a plan has something to do, and its name; who has just come is behind all."""
    conditions = (plan.get("status") or {}).get("conditions") or ()
    waits = (it["lastTransitionTime"] for it in conditions if it["type"] == "Reconciling")
    return next(waits, "9"), plan["metadata"]["name"]
