"""The arithmetic of a Deployment: template hash, surge, proportional scaling, conditions.  Pure functions.

They follow the Deployment controller of Kubernetes 1.36: what it does at the edges decides whether a canary drops
requests, so a simulation must do the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from rollout.adapters.memory.objects import moment_of, rfc3339
from rollout.plan.base import Json

HASH_LABEL: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS: Final = "deployment.kubernetes.io/max-replicas"
NOT_COPIED: Final = frozenset({REVISION, DESIRED, MAX_REPLICAS, "kubectl.kubernetes.io/last-applied-configuration"})
"""Annotations of a Deployment that its ReplicaSets do not inherit."""

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Mapping[str, Any], collisions: int = 0) -> str:
    """The `pod-template-hash`: the same for the same template, on any run."""
    digest = hashlib.blake2s(orjson.dumps([template, collisions], option=orjson.OPT_SORT_KEYS)).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:10])


def bare(template: Json) -> Json:
    """A ReplicaSet's template without the hash label: what to compare with the Deployment's."""
    meta = template.get("metadata", {})
    labels = {key: value for key, value in meta.get("labels", {}).items() if key != HASH_LABEL}
    return {**template, "metadata": {**meta, "labels": labels}}


def number_in(obj: Json, annotation: str) -> int:
    """A number that the controller keeps in an annotation; 0 when there is none."""
    return int(obj["metadata"].get("annotations", {}).get(annotation, 0))


def replicas_of(replica_sets: Iterable[Json]) -> int:
    """Pods that the ReplicaSets ask for."""
    return sum(rs["spec"]["replicas"] for rs in replica_sets)


def sum_status(replica_sets: Iterable[Json], field: str) -> int:
    """The sum of one number over the statuses."""
    return sum(rs.get("status", {}).get(field, 0) for rs in replica_sets)


def bounds(spec: Json) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods: surge rounded up, unavailable down, and never both zero."""
    if spec["strategy"].get("type") == "Recreate":
        return 0, spec["replicas"]
    rolling = spec["strategy"]["rollingUpdate"]
    surge = _pods(rolling["maxSurge"], spec["replicas"], math.ceil)
    unavailable = min(_pods(rolling["maxUnavailable"], spec["replicas"], math.floor), spec["replicas"])
    return surge, 1 if surge == 0 and unavailable == 0 else unavailable


def _pods(value: int | str, replicas: int, rounded: Any) -> int:
    if isinstance(value, int):
        return value
    return int(rounded(int(value.removesuffix("%")) * replicas / 100))


def size_for_new(spec: Json, new: Json, old: Sequence[Json]) -> int:
    """How many pods the new ReplicaSet may ask for now."""
    replicas, size = spec["replicas"], new["spec"]["replicas"]
    if size >= replicas or spec["strategy"].get("type") == "Recreate":
        return int(replicas)
    room = replicas + bounds(spec)[0] - replicas_of([new, *old])
    return int(size + max(0, min(room, replicas - size)))


def sizes_for_old(spec: Json, new: Json, old: Sequence[Json]) -> list[int]:
    """How many pods each old ReplicaSet (oldest first) keeps: unhealthy go first, then what availability allows."""
    sizes: list[int] = [rs["spec"]["replicas"] for rs in old]
    least = spec["replicas"] - bounds(spec)[1]
    unavailable_new = new["spec"]["replicas"] - sum_status([new], "availableReplicas")
    budget = replicas_of([new, *old]) - least - unavailable_new
    if budget <= 0:
        return sizes
    available = [sum_status([rs], "availableReplicas") for rs in old]
    for index, size in enumerate(sizes):
        unhealthy = max(0, min(budget, size - available[index]))
        sizes[index] -= unhealthy
        budget -= unhealthy
    spare = sum(available) + sum_status([new], "availableReplicas") - least
    for index, size in enumerate(sizes):
        taken = max(0, min(spare, size))
        sizes[index] -= taken
        spare -= taken
    return sizes


def proportional(spec: Json, status: Json, active: Sequence[Json]) -> list[int]:
    """New sizes of several active ReplicaSets when the Deployment is scaled in mid-roll."""
    sizes = [rs["spec"]["replicas"] for rs in active]
    allowed = spec["replicas"] + bounds(spec)[0] if spec["replicas"] > 0 else 0
    to_add = allowed - sum(sizes)
    if to_add == 0:
        return sizes
    order = sorted(
        range(len(active)), key=lambda i: (-sizes[i], number_in(active[i], REVISION) * (-1 if to_add > 0 else 1))
    )
    added = 0
    for i in order:
        share = _share(spec, status, active[i])
        part = min(share, to_add - added) if to_add > 0 else max(share, to_add - added)
        added += part
        sizes[i] += part
    sizes[order[0]] = max(0, sizes[order[0]] + to_add - added)
    return sizes


def _share(spec: Json, status: Json, replica_set: Json) -> int:
    size: int = replica_set["spec"]["replicas"]
    if spec["replicas"] == 0:
        return -size
    before: int = number_in(replica_set, MAX_REPLICAS) or status.get("replicas", 0) or 1
    whole: int = spec["replicas"] + bounds(spec)[0]
    return math.floor(size * whole / before + 0.5) - size


def condition(type_: str, status: str, reason: str, message: str, now: float) -> Json:
    """A condition that changes now."""
    moment = rfc3339(now)
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment,
    }


def with_condition(conditions: Sequence[Json], new: Json, *, touch: bool = False) -> list[Json]:
    """The conditions with one set; the same status and reason keep their times, unless `touch` renews the update."""
    was = next((c for c in conditions if c["type"] == new["type"]), None)
    if was is not None and (was["status"], was["reason"]) == (new["status"], new["reason"]) and not touch:
        return list(conditions)
    if was is not None and was["status"] == new["status"]:
        new = {**new, "lastTransitionTime": was["lastTransitionTime"]}
    if was is None:
        return [*conditions, new]
    return [new if c is was else c for c in conditions]


def timed_out(spec: Json, progressing: Json | None, now: float) -> bool:
    """Whether the roll has made no progress for `progressDeadlineSeconds`."""
    if progressing is None or progressing["reason"] == "NewReplicaSetAvailable":
        return False
    if progressing["reason"] == "ProgressDeadlineExceeded":
        return True
    return bool(now > moment_of(progressing["lastUpdateTime"]) + spec["progressDeadlineSeconds"])


def complete(deployment: Json, status: Json) -> bool:
    """Whether all pods are of the new template and available."""
    replicas = deployment["spec"]["replicas"]
    numbers = (status["updatedReplicas"], status["replicas"], status["availableReplicas"])
    return numbers == (replicas,) * 3


def progressed(before: Json, after: Json) -> bool:
    """Whether the roll has moved since the last look."""
    old_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    return bool(
        after["updatedReplicas"] > before.get("updatedReplicas", 0)
        or after["replicas"] - after["updatedReplicas"] < old_before
        or after["readyReplicas"] > before.get("readyReplicas", 0)
        or after["availableReplicas"] > before.get("availableReplicas", 0)
    )
