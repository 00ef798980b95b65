"""How a run comes to be: plan applied, new revision held, checks clean, program compiled, PlanRun created."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from rollout.act.release import hold_for_ops, hold_ops, release_ops
from rollout.checks.rivals import aim_of
from rollout.checks.subject import HoldMode
from rollout.controller.record import FINALIZER
from rollout.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Terminal, Unsupported
from rollout.observe.observer import read_target
from rollout.observe.templates import digest, images
from rollout.observe.workload import full_size
from rollout.plan.base import HELD, LABELS_AT_START, PLAN_LABEL, TARGET_LABEL, Json, label_value
from rollout.plan.finding import Finding
from rollout.plan.holdpolicy import MARKS
from rollout.plan.kinds import DEPLOYMENT, METRIC_TEMPLATE, PLAN_RUN, Ref, kind_of, ref_of
from rollout.plan.objects import CanaryPlan
from rollout.plan.parse import from_object
from rollout.plan.program import Conclude, Program, Release
from rollout.plan.run import Revision, RunSpec, dump_spec
from rollout.plan.strategy import Facts
from rollout.ports.cluster import guard_of
from rollout.ports.world import World

_NAME_ROOM = 46
"""So much of a plan's name fits into its runs' names, which are label values (63)."""


class StartRefused(Terminal):
    """Starting would be unsafe; `findings` say why."""

    def __init__(self, message: str, findings: Sequence[Finding], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Target:
    """The target as it stands before a run."""

    deployment: Json | None
    revision: Revision
    hold_mode: HoldMode
    recent: tuple[str, ...] = ()
    """Digests of the older revisions that still have a ReplicaSet, newest first."""
    restart_only: bool = False


@dataclass(frozen=True, slots=True)
class Armed:
    """The target with the wanted version held."""

    rests_paused: bool = False
    """It was paused before, and not by a run."""
    digest: str = ""
    """Of the template that it asks for now."""


async def apply_plan(world: World, plan: Json) -> Json:
    """Create the plan, or bring the stored one's spec up to the given one."""
    ref = ref_of(plan)
    found = await world.cluster.get(ref)
    if found is None:
        try:
            return await world.cluster.create({k: v for k, v in plan.items() if k != "status"})
        except AlreadyExists:
            return await apply_plan(world, plan)
    ops = [{"op": "replace", "path": "/spec", "value": plan["spec"]}]
    wanted = await world.cluster.patch(ref, ops, guard_of(found), dry_run=True)
    if wanted["spec"] == found["spec"]:
        return found
    return await world.cluster.patch(ref, ops, guard_of(found))


async def arm(world: World, plan: CanaryPlan, mode: str, wanted: Mapping[str, str]) -> Armed:
    """Set the images, held in the same write; label the Deployment first where the policy holds."""
    namespace, name = plan.metadata.namespace, plan.spec.target.name if plan.spec.target else ""
    deployment = await world.cluster.get(Ref(DEPLOYMENT, namespace, name))
    if deployment is None:
        raise NotFound(
            f"Deployment/{name} in {namespace} does not exist", hint="create it, or correct spec.target.name"
        )
    notes = deployment["metadata"].get("annotations") or {}
    mark = notes.get(HELD)
    rests = mark == "paused" or (bool(deployment["spec"].get("paused")) and mark not in MARKS)
    token = f"{plan.metadata.name}.{deployment['metadata'].get('generation', 0)}"
    ops = hold_for_ops(deployment, plan.metadata.name, token) if mode == "policy" else []
    if ops:
        deployment = await world.cluster.patch(ref_of(deployment), ops, guard_of(deployment))
    ops = _image_ops(deployment, wanted)
    if ops:
        deployment = await world.cluster.patch(ref_of(deployment), ops, guard_of(deployment))
    return Armed(rests, digest(deployment["spec"]["template"]))


def _image_ops(deployment: Json, wanted: Mapping[str, str]) -> list[Json]:
    """The images that differ, with `paused` and the held mark in the same write: there is no moment to race for."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    index = {c["name"]: i for i, c in enumerate(containers)}
    unknown = [name for name in wanted if name not in index]
    if unknown:
        raise InvalidInput(f"no container {unknown[0]!r}", where="--image", hint=f"containers: {', '.join(index)}")
    base = "/spec/template/spec/containers"
    ops: list[Json] = [
        {"op": "replace", "path": f"{base}/{index[name]}/image", "value": image}
        for name, image in wanted.items()
        if containers[index[name]].get("image") != image
    ]
    return [*ops, *hold_ops(deployment)] if ops else []


async def read_revision(world: World, plan: CanaryPlan, mode: HoldMode, armed: Armed) -> Target:
    """Which version would be tried against which.

    Raises:
        Conflict: the Deployment was written after it was armed, or this read is older than that.
    """
    if plan.spec.target is None:
        return Target(None, Revision(), mode)
    deployment, sets, work = await read_target(world, plan.metadata.namespace, plan.spec.target.name)
    if deployment is None or work is None:
        name = plan.spec.target.name
        raise NotFound(
            f"Deployment/{name} in {plan.metadata.namespace} does not exist", hint="correct spec.target.name"
        )
    if work.digest != armed.digest:
        raise Conflict(
            f"Deployment/{plan.spec.target.name} was written by somebody else at this moment", hint="start again"
        )
    stable = full_size(sets)
    if stable is None:
        raise StartRefused(
            f"Deployment/{plan.spec.target.name} is in mid-roll: several ReplicaSets have pods, or none",
            (),
            hint="wait until it has rolled, then start again",
        )
    view = next(rs for rs in work.replica_sets if rs.hash == stable["metadata"]["labels"]["pod-template-hash"])
    revision = Revision(
        workload_uid=work.uid,
        stable_hash=view.hash,
        stable_digest=view.digest,
        digest=work.digest,
        rests_paused=armed.rests_paused,
        stable_images=images(stable["spec"]["template"]),
        images=images(deployment["spec"]["template"]),
    )
    older = tuple(rs.digest for rs in work.replica_sets if rs.hash != view.hash)
    return Target(deployment, revision, mode, older, work.restart_only)


async def let_go(world: World, target: Target) -> None:
    """End a hold that holds nothing: the Deployment asks for what runs already."""
    found = target.deployment
    if found is None or (found["metadata"].get("annotations") or {}).get(HELD) not in MARKS:
        return
    ops = release_ops(found, f"start.{found['metadata'].get('generation', 0)}")
    if target.revision.rests_paused:
        ops = [op for op in ops if op["path"] != "/spec/paused"]
    await world.cluster.patch(ref_of(found), ops, guard_of(found))


async def create_run(world: World, plan: Json, target: Target, by: str, attempt: int) -> Json:
    """Compile the plan and store the run, with its finalizer."""
    parsed = from_object(plan)
    if not isinstance(parsed, CanaryPlan):
        raise InvalidInput(f"{plan['kind']} cannot be started", where=str(ref_of(plan)))
    meta = plan["metadata"]

    async def made(name: str, attempt: int) -> RunSpec:
        program = await compile_plan(world, parsed, name, target)
        generation = meta.get("generation", 1)
        return RunSpec(meta["name"], meta["uid"], generation, attempt, program, target.revision, by)

    version = target.revision.digest or f"g{meta.get('generation', 1)}"
    return await store_run(world, plan, version[:5], attempt, made, {TARGET_LABEL: aim_of(plan).name})


async def store_run(
    world: World,
    plan: Json,
    version: str,
    attempt: int,
    made: Callable[[str, int], Awaitable[RunSpec]],
    labels: Mapping[str, str],
) -> Json:
    """Store the run that `made` makes for a name and an attempt: the first attempt from this one on whose name is free.

    A run of the plan that is under way by that name is returned instead.
    """
    meta = plan["metadata"]
    while True:
        name = f"{meta['name'][:_NAME_ROOM].rstrip('-.')}-{version}-{attempt}"
        spec = await made(name, attempt)
        try:
            return await world.cluster.create(_run_object(plan, name, spec, labels))
        except AlreadyExists:
            found = await world.cluster.get(Ref(PLAN_RUN, meta["namespace"], name))
            if found is None:
                raise Conflict(f"PlanRun/{name} was made by somebody else at this moment") from None
            if found["spec"]["planUid"] == meta["uid"] and not (found.get("status") or {}).get("endedAt"):
                return found  # the answer to an earlier try was lost, or another engine was faster
            attempt += 1


async def compile_plan(world: World, plan: CanaryPlan, run: str, target: Target) -> Program:
    """The program for one run; only the promotion when the version needs no proof (rollback window, restart).

    Raises:
        InvalidInput: the plan cannot be compiled.
        Unsupported: its strategy or its router is not installed.
    """
    strategy = world.strategies.get(plan.spec.strategy)
    if strategy is None:
        names = ", ".join(sorted(world.strategies))
        raise Unsupported(f"strategy {plan.spec.strategy} is not installed", hint=f"use one of {names}")
    if plan.spec.router.type not in world.routers:
        names = ", ".join(sorted(world.routers))
        raise Unsupported(f"router {plan.spec.router.type} is not installed", hint=f"use one of {names}")
    templates = await world.cluster.list(METRIC_TEMPLATE, plan.metadata.namespace)
    known = {t["metadata"]["name"]: from_object(t).spec for t in templates}
    facts = Facts(run, target.revision.stable_hash, target.hold_mode, known)  # type: ignore[arg-type]  # kinds were listed
    program = strategy.compile(plan, facts)
    window = target.recent[: plan.spec.rollback_window.revisions]
    known_good = target.revision.digest in window or bool(target.revision.undoes)
    restart = target.restart_only and plan.spec.restarts == "follow"
    return without_proof(program) if known_good or restart else program


def without_proof(program: Program) -> Program:
    """Release and conclude only: what ran recently, or only restarts, has proved itself."""
    steps = []
    for step in program.steps:
        if any(isinstance(i, Release) for i in step.instructions):
            # no candidate serves beside it, and going back would be going where nobody wants to be
            steps.append(replace(step, instructions=(Release("native"),), gates=(), on_failure="hold"))
        elif any(isinstance(i, Conclude) for i in step.instructions):
            steps.append(step)
    return replace(program, steps=tuple(steps))


def _run_object(plan: Json, name: str, spec: RunSpec, labels: Mapping[str, str]) -> Json:
    meta, kind = plan["metadata"], kind_of(plan)
    return {
        "apiVersion": PLAN_RUN.api_version,
        "kind": PLAN_RUN.name,
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {PLAN_LABEL: label_value(meta["name"]), **labels},
            "annotations": {
                LABELS_AT_START: orjson.dumps(meta.get("labels") or {}, option=orjson.OPT_SORT_KEYS).decode()
            },
            "finalizers": [FINALIZER],
            "ownerReferences": [
                {
                    "apiVersion": kind.api_version,
                    "kind": kind.name,
                    "name": meta["name"],
                    "uid": meta["uid"],
                }
            ],
        },
        "spec": dump_spec(spec),
    }
