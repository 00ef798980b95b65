"""For which plan a Deployment's next revisions are held: the one that acts takes it over, without one the hold ends."""

from __future__ import annotations

from collections.abc import Collection

from rollout.act.release import end_hold_ops, hold_for_ops
from rollout.checks.rivals import aim_of
from rollout.controller.events import tell
from rollout.decide.reason import Reason
from rollout.plan.base import HOLD_LABEL, Json, label_value
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, Ref, ref_of
from rollout.plan.run import Note
from rollout.ports.cluster import guard_of
from rollout.ports.world import World


async def end_holds(world: World, namespace: str, plan: str, why: str, *, but: str = "") -> None:
    """End the holds for a plan, except of one target: label and mark are taken off, what is paused stays so.

    What is another plan's target is left to that one, which takes the hold over.
    """
    held = await world.cluster.list(DEPLOYMENT, namespace, {HOLD_LABEL: label_value(plan)})
    kept = {but, *(await _targets(world, namespace, plan) if held else ())}
    for deployment in (it for it in held if it["metadata"]["name"] not in kept):
        ops = end_hold_ops(deployment, _token(plan, deployment))
        await world.cluster.patch(ref_of(deployment), ops, guard_of(deployment))
        text = f"plan {plan} {why}, so new revisions are held no more"
        if deployment["spec"].get("paused"):
            at = f"deployment/{deployment['metadata']['name']} -n {namespace}"
            text += f"; it stays paused at the revision that was held; when it may roll: kubectl rollout resume {at}"
        await tell(world, deployment, Note(world.clock.now(), Reason.HOLD_ENDED, text, warning=True))


async def take_over(world: World, namespace: str, plan: str, target: str) -> None:
    """Hold for this plan what an earlier one holds: that one is gone, or has another target."""
    found = await world.cluster.get(Ref(DEPLOYMENT, namespace, target)) if target else None
    if found is not None and HOLD_LABEL in (found["metadata"].get("labels") or {}):
        if ops := hold_for_ops(found, plan, _token(plan, found)):
            await world.cluster.patch(ref_of(found), ops, guard_of(found))


async def _targets(world: World, namespace: str, plan: str) -> Collection[str]:
    """The Deployments of the other plans that stay."""
    plans = await world.cluster.list(CANARY_PLAN, namespace)
    others = (it for it in plans if it["metadata"]["name"] != plan and "deletionTimestamp" not in it["metadata"])
    return {aim_of(it).workload for it in others}


def _token(plan: str, deployment: Json) -> str:
    """New for each version of the Deployment."""
    return f"{plan}.{deployment['metadata'].get('generation', 0)}"
