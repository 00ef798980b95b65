"""Plans with one target: who acts on it.

The oldest does, and the others wait for it to go.  But a run that is under way comes home first, whoever's it is: that
of a plan which was deleted, or has another target by now, still holds traffic and the candidate's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rollout.plan.base import TARGET_LABEL, Json
from rollout.plan.kinds import CANARY_PLAN, PLAN_RUN
from rollout.plan.objects import CanaryPlan
from rollout.ports.world import World


@dataclass(frozen=True, slots=True)
class Aim:
    """What a plan acts on: a Deployment, or for a traffic-only plan a Service."""

    workload: str
    service: str = ""

    @property
    def name(self) -> str:
        """As the runs' label has it."""
        return (self.workload or self.service)[:63]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Who acts instead: an older plan, or while `run` is under way the plan that this is a run of."""

    plan: str
    run: str = ""

    def __str__(self) -> str:
        if self.run:
            return f"run {self.run} of plan {self.plan} is under way on the same target; it ends first"
        return f"plan {self.plan} is older and has the same target; the oldest acts"


def ahead(name: str, aim: Aim, plans: Iterable[Json], runs: Iterable[Json]) -> Ahead | None:
    """Who acts instead of the plan of this name; None when it acts itself.

    `plans` and `runs` are those of its namespace, of any target.  A plan that is not stored yet is the youngest; one
    that is being deleted has nobody behind it.
    """
    staying = (it for it in plans if it["metadata"]["name"] == name or "deletionTimestamp" not in it["metadata"])
    oldest = min((it for it in staying if aim_of(it) == aim), key=_age, default=None)
    if oldest is not None and oldest["metadata"]["name"] != name:
        return Ahead(oldest["metadata"]["name"])
    for run in runs:
        if run["spec"]["plan"] != name and _aim_of_run(run) == aim and not (run.get("status") or {}).get("endedAt"):
            return Ahead(run["spec"]["plan"], run["metadata"]["name"])
    return None


async def look_ahead(world: World, plan: CanaryPlan) -> Ahead | None:
    """`ahead` of this plan, as the cluster is now."""
    namespace, spec = plan.metadata.namespace, plan.spec
    aim = Aim(spec.target.name) if spec.target else Aim("", spec.service or "")
    plans = await world.cluster.list(CANARY_PLAN, namespace)
    runs = await world.cluster.list(PLAN_RUN, namespace, {TARGET_LABEL: aim.name})
    return ahead(plan.metadata.name, aim, plans, runs)


def aim_of(plan: Json) -> Aim:
    """What a stored plan acts on."""
    spec = plan["spec"]
    target = (spec.get("target") or {}).get("name", "")
    return Aim(target) if target else Aim("", spec.get("service") or "")


def _aim_of_run(run: Json) -> Aim:
    program = run["spec"].get("program") or {}
    workload = program.get("workload") or ""
    return Aim(workload) if workload else Aim("", (program.get("backends") or {}).get("service") or "")


def _age(plan: Json) -> tuple[str, str]:
    return plan["metadata"].get("creationTimestamp") or "", plan["metadata"]["name"]
