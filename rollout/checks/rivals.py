"""Plans with one target: who acts on it.

The oldest does, and the others wait for it to go.  But a run that is under way comes home first, whoever's it is: that
of a plan which was deleted, or has another target by now, still holds traffic and the candidate's name.

The target of a MeshAdoptionPlan is its namespace.  It does not begin while a canary is under way there; once begun it
may wait for weeks for somebody, so that canaries go on beside it, but for the workloads that it is at work on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from rollout.plan.base import TARGET_LABEL, Json, label_value
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, MESH_ADOPTION_PLAN, PLAN_RUN, Kind, plan_of
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan
from rollout.plan.program import Enrol, SetMode
from rollout.plan.run import RUN_SPEC, STATE, Phase
from rollout.ports.world import World


@dataclass(frozen=True, slots=True)
class Aim:
    """What a plan acts on: a Deployment, or for a traffic-only plan a Service."""

    workload: str
    service: str = ""

    @property
    def name(self) -> str:
        """As the runs' label has it."""
        return label_value(self.workload or self.service)


@dataclass(frozen=True, slots=True)
class Ahead:
    """Who acts instead: an older plan, or while `run` is under way the plan that this is a run of."""

    plan: str
    run: str = ""
    kind: Kind = CANARY_PLAN
    where: str = "on the same target"
    """What both are about."""

    def __str__(self) -> str:
        if self.run:
            return f"run {self.run} of {self._plan} is under way {self.where}; it ends first"
        return f"{self._plan} is older and has the same target; the oldest acts"

    @property
    def _plan(self) -> str:
        return f"plan {self.plan}" if self.kind == CANARY_PLAN else f"{self.kind} {self.plan}"


def ahead(name: str, aim: Aim, plans: Iterable[Json], runs: Iterable[Json]) -> Ahead | None:
    """Who acts instead of the plan of this name; None when it acts itself.

    `plans` and `runs` are those of its namespace, of any target.  A plan that is not stored yet is the youngest; one
    that is being deleted has nobody behind it.
    """
    staying = (it for it in plans if it["metadata"]["name"] == name or "deletionTimestamp" not in it["metadata"])
    oldest = min((it for it in staying if aim_of(it) == aim), key=_age, default=None)
    if oldest is not None and oldest["metadata"]["name"] != name:
        return Ahead(oldest["metadata"]["name"])
    for run in _under_way(runs, CANARY_PLAN):
        if run["spec"]["plan"] != name and _aim_of_run(run) == aim:
            return Ahead(run["spec"]["plan"], run["metadata"]["name"])
    return None


def ahead_of_adoption(plan: MeshAdoptionPlan, plans: Iterable[Json], runs: Iterable[Json]) -> Ahead | None:
    """Who acts instead of an adoption that would begin; None when it may.

    `plans` are the adoptions and `runs` all runs of its namespace.  Canaries of workloads that stay outside are not in
    its way.
    """
    name, runs = plan.metadata.name, list(runs)
    staying = (it for it in plans if it["metadata"]["name"] == name or "deletionTimestamp" not in it["metadata"])
    oldest = min(staying, key=_age, default=None)
    if oldest is not None and oldest["metadata"]["name"] != name:
        return Ahead(oldest["metadata"]["name"], kind=MESH_ADOPTION_PLAN)
    for run in _under_way(runs, MESH_ADOPTION_PLAN):
        if run["spec"]["plan"] != name:
            return Ahead(run["spec"]["plan"], run["metadata"]["name"], MESH_ADOPTION_PLAN)
    outside = {it.workload.name for it in plan.spec.exceptions if it.workload.kind == "Deployment" and not it.ports}
    for run in _under_way(runs, CANARY_PLAN):
        aim = _aim_of_run(run)
        if aim.workload not in outside:
            where = f"on Deployment/{aim.workload}" if aim.workload else f"on the traffic of {aim.service}"
            return Ahead(run["spec"]["plan"], run["metadata"]["name"], where=where)
    return None


async def look_ahead(world: World, plan: CanaryPlan) -> Ahead | None:
    """`ahead` of this plan, as the cluster is now; and the adoption that is at work on its target."""
    namespace, spec = plan.metadata.namespace, plan.spec
    aim = Aim(spec.target.name) if spec.target else Aim("", spec.service or "")
    plans = await world.cluster.list(CANARY_PLAN, namespace)
    runs = await world.cluster.list(PLAN_RUN, namespace, {TARGET_LABEL: aim.name})
    first = ahead(plan.metadata.name, aim, plans, runs)
    if first is not None or not aim.workload:
        return first
    for run in _under_way(await world.cluster.list(PLAN_RUN, namespace), MESH_ADOPTION_PLAN):
        if aim.workload in at_work_on(run):
            where = f"on Deployment/{aim.workload}"
            return Ahead(run["spec"]["plan"], run["metadata"]["name"], MESH_ADOPTION_PLAN, where)
    return None


async def look_ahead_of_adoption(world: World, plan: MeshAdoptionPlan) -> Ahead | None:
    """`ahead_of_adoption`, as the cluster is now."""
    namespace = plan.metadata.namespace
    plans = await world.cluster.list(MESH_ADOPTION_PLAN, namespace)
    return ahead_of_adoption(plan, plans, await world.cluster.list(PLAN_RUN, namespace))


def at_work_on(run: Json) -> frozenset[str]:
    """The Deployments that an adoption under way changes now: those of its step; on its way back, all that it did.

    A run that cannot be read is at work on none: nobody acts on it.
    """
    try:
        spec = RUN_SPEC.validate_python(run["spec"])
        state = STATE.validate_python((run.get("status") or {}).get("state") or {})
    except ValidationError:
        return frozenset()
    first = 0 if state.phase is Phase.ROLLING_BACK else state.step
    found = (it for step in spec.program.steps[first : state.step + 1] for it in step.instructions)
    units = (it.unit for it in found if isinstance(it, Enrol | SetMode) and it.unit is not None)
    return frozenset(unit.name for unit in units if unit.kind == DEPLOYMENT.name)


def aim_of(plan: Json) -> Aim:
    """What a stored plan acts on."""
    spec = plan["spec"]
    target = (spec.get("target") or {}).get("name", "")
    return Aim(target) if target else Aim("", spec.get("service") or "")


def _under_way(runs: Iterable[Json], kind: Kind) -> Iterable[Json]:
    return (it for it in runs if plan_of(it).kind == kind and not (it.get("status") or {}).get("endedAt"))


def _aim_of_run(run: Json) -> Aim:
    program = run["spec"].get("program") or {}
    workload = program.get("workload") or ""
    return Aim(workload) if workload else Aim("", (program.get("backends") or {}).get("service") or "")


def _age(plan: Json) -> tuple[str, str]:
    return plan["metadata"].get("creationTimestamp") or "", plan["metadata"]["name"]
