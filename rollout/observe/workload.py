"""The target Deployment and its ReplicaSets, parsed into what deciding needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rollout.decide.seen import ReplicaSetView, Workload
from rollout.observe.templates import HASH_LABEL, digest, restart_only
from rollout.plan.base import HELD, HOLD_LABEL, Json
from rollout.plan.holdpolicy import MARKS

REVISION: Final = "deployment.kubernetes.io/revision"


def owned(replica_sets: Iterable[Json], owner_uid: str) -> list[Json]:
    """The ReplicaSets that a Deployment controls."""
    return [
        rs
        for rs in replica_sets
        if any(o.get("controller") and o["uid"] == owner_uid for o in rs["metadata"].get("ownerReferences", []))
    ]


def full_size(replica_sets: Iterable[Json]) -> Json | None:
    """The one ReplicaSet with pods; None when there is none or several: then the Deployment is in mid-roll."""
    with_pods = [rs for rs in replica_sets if rs["spec"].get("replicas", 1) > 0]
    return with_pods[0] if len(with_pods) == 1 else None


def parse(deployment: Json, replica_sets: Iterable[Json]) -> Workload:
    """What deciding needs to know. ReplicaSets of others are left out."""
    meta, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    mine = owned(replica_sets, meta["uid"])
    views = sorted((_view(rs) for rs in mine), key=lambda v: -v.revision)
    wanted = digest(spec["template"])
    paused = bool(spec.get("paused"))
    stable = full_size(mine)
    return Workload(
        uid=meta["uid"],
        desired=spec.get("replicas", 1),
        digest=wanted,
        paused=paused,
        held=paused and not any(v.replicas for v in views if v.digest == wanted),
        replica_sets=tuple(views),
        stuck=_stuck(status),
        settled=status.get("observedGeneration", 0) >= meta.get("generation", 0),
        holder=(meta.get("labels") or {}).get(HOLD_LABEL, ""),
        marked=(meta.get("annotations") or {}).get(HELD) in MARKS,
        restart_only=stable is not None and restart_only(stable["spec"]["template"], spec["template"]),
    )


def _view(rs: Json) -> ReplicaSetView:
    meta, status = rs["metadata"], rs.get("status") or {}
    return ReplicaSetView(
        hash=(meta.get("labels") or {}).get(HASH_LABEL, ""),
        digest=digest(rs["spec"]["template"]),
        replicas=max(rs["spec"].get("replicas", 1), status.get("replicas", 0)),
        ready=status.get("readyReplicas", 0),
        revision=revision_of(rs),
    )


def revision_of(replica_set: Json) -> int:
    """The number by which `kubectl rollout history` counts; 0 where there is none."""
    number = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(number) if number.isdigit() else 0


def _stuck(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions", []):
        late = condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        refused = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        if late or refused:
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""
