"""From an action to the writes that it takes, computed from exactly what was seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, assert_never

from rollout.act import candidate as candidates
from rollout.act.release import end_hold_ops, hold_again_ops, pause_ops, release_ops, take_back_ops
from rollout.decide.action import (
    Adopt,
    EndHold,
    HoldAgain,
    Rearm,
    ReleaseHold,
    Retire,
    Size,
    Steer,
    Sweep,
    TakeBack,
    Undo,
    Unroute,
    Write,
)
from rollout.observe.observer import Observation
from rollout.observe.templates import digest
from rollout.plan.base import PLAN_LABEL, RUN_LABEL, RUN_UID, Json, label_value
from rollout.plan.kinds import DEPLOYMENT, Ref, ref_of
from rollout.plan.run import Entry, RunSpec
from rollout.ports.cluster import guard_of
from rollout.ports.mesh import Mesh
from rollout.ports.router import Change, Router

MANAGED_BY = "app.kubernetes.io/managed-by"


@dataclass(frozen=True, slots=True)
class Acting:
    """On whose behalf: the run, its router, and what was seen."""

    run: Ref
    uid: str
    spec: RunSpec
    seen: Observation
    router: Router | None = None
    """Of a program that routes."""
    mesh: Mesh | None = None
    """Of an adoption."""

    @property
    def owner(self) -> Json:
        """Metadata of everything we create, so that it can be told and swept."""
        lasting = self.spec.program.adoption is not None  # what an adoption makes outlives its run
        label = {PLAN_LABEL: label_value(self.spec.plan)} if lasting else {RUN_LABEL: self.run.name}
        return {
            "labels": {**label, MANAGED_BY: "rollout"},
            "annotations": {RUN_UID: self.uid},
        }


def changes(acting: Acting, action: Write, journal: tuple[Entry, ...]) -> tuple[Change, ...]:
    """The writes, in the order in which they must be done; none when the world is as wanted already."""
    match action:
        case Adopt() | Undo():
            return _adopt(acting, action, journal)
        case Steer() | Unroute() | Sweep():
            return _route(acting, action, journal)
        case Size():
            return _size(acting, action.replicas)
        case Retire():
            return _retire(acting)
        case ReleaseHold() | Rearm() | TakeBack() | HoldAgain() | EndHold():
            return _target(acting, action)
        case _:
            assert_never(action)


def _adopt(acting: Acting, action: Adopt | Undo, journal: tuple[Entry, ...]) -> tuple[Change, ...]:
    assert acting.mesh is not None, "only programs with an adoption have these"
    assert acting.seen.stage is not None, "see observe.adoption"
    stage = replace(acting.seen.stage, journal=journal)
    if isinstance(action, Undo):
        return acting.mesh.undo(action.entry, stage)
    todo = acting.mesh.render(action.instruction, stage, acting.owner)
    return tuple(it if it.entry is None else replace(it, entry=replace(it.entry, step=action.step)) for it in todo)


def _route(acting: Acting, action: Steer | Unroute | Sweep, journal: tuple[Entry, ...]) -> tuple[Change, ...]:
    assert acting.router is not None, "only programs with backends have these"
    router, backends, routes = acting.router, acting.spec.program.split, acting.seen.routes
    match action:
        case Steer():
            backends = replace(backends, matches=backends.matches if action.matched else (), mirror=action.mirror)
            todo = router.steer(backends, routes, action.weight, journal, acting.owner)
            return tuple(change for change in todo if change.groundwork) or todo
        case Unroute():
            return router.restore(backends, routes, journal)
        case Sweep():
            return router.sweep(backends, routes)
        case _:
            assert_never(action)


def _size(acting: Acting, replicas: int) -> tuple[Change, ...]:
    name = acting.spec.program.split.candidate.workload
    ref = Ref(DEPLOYMENT, acting.run.namespace, name)
    found, target = acting.seen.candidate, acting.seen.deployment
    if found is not None:
        ops = [{"op": "replace", "path": "/spec/replicas", "value": replicas}]
        return (Change("patch", ref, f"{ref}: {replicas} pods", ops, guard_of(found)),)
    if target is None:
        return ()
    body = candidates.manifest(target, name, acting.run.name, replicas, acting.owner)
    return (Change("create", ref, f"{ref}: {replicas} pods", body, entry=_entry("candidate", ref, "created")),)


def _retire(acting: Acting) -> tuple[Change, ...]:
    found = acting.seen.candidate
    if found is None or (found["metadata"].get("annotations") or {}).get(RUN_UID) != acting.uid:
        return ()
    ref = ref_of(found)
    return (Change("delete", ref, f"{ref} deleted", guard=guard_of(found), foreground=True),)


def _target(acting: Acting, action: ReleaseHold | Rearm | TakeBack | HoldAgain | EndHold) -> tuple[Change, ...]:
    """A write to the target Deployment. The token is new for each version of it, and the same for a repeated try."""
    target = acting.seen.deployment
    if target is None or target["metadata"]["uid"] != acting.spec.revision.workload_uid:
        return ()
    ref, guard = ref_of(target), guard_of(target)
    token = f"{acting.run.name}.{target['metadata'].get('generation', 0)}"
    match action:
        case Rearm():
            return (Change("patch", ref, f"{ref} paused again", pause_ops(), guard),)
        case ReleaseHold():
            entry = _entry("release", ref, "released", uid=guard.uid)
            return (Change("patch", ref, f"{ref} released", release_ops(target, token), guard, entry),)
        case TakeBack():
            stable = _asked(acting, acting.spec.revision.stable_digest)
            ops = take_back_ops(target, stable, token) if stable else []
            return (Change("patch", ref, f"{ref} rolls back", ops, guard),) if ops else ()
        case HoldAgain():
            tried = _asked(acting, acting.spec.revision.digest)
            ops = hold_again_ops(target, tried) if tried else []
            return (Change("patch", ref, f"{ref} holds what was tried", ops, guard),) if ops else ()
        case EndHold():
            return (Change("patch", ref, f"{ref} is held no more", end_hold_ops(target, token), guard),)
        case _:
            assert_never(action)


def _asked(acting: Acting, wanted: str) -> Json | None:
    """The ReplicaSet that keeps a template which the target has asked for."""
    return next((rs for rs in acting.seen.replica_sets if digest(rs["spec"]["template"]) == wanted), None)


def _entry(kind: Literal["candidate", "release"], ref: Ref, what: str, uid: str = "") -> Entry:
    return Entry(kind, ref.kind.api_version, ref.kind.name, ref.namespace, ref.name, f"{ref} {what}", uid)
