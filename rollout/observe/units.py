"""Units: whatever makes pods from a template, found with the pods that it has.

A mesh is adopted unit by unit.  A Deployment's pods are found over its ReplicaSets, a CronJob's over its Jobs; what
nobody controls (a bare Pod, a ReplicaSet or Job of its own) is a unit by itself, for its traffic counts as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rollout.plan.base import Json
from rollout.plan.kinds import CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, POD, REPLICASET, STATEFUL_SET, Kind, kind_of
from rollout.ports.mesh import Unit

MAKERS: Final = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, CRON_JOB, JOB, REPLICASET)
"""Kinds that hold a pod template."""
READS: Final = (*MAKERS, POD)
"""All kinds that `units` wants to see."""
_OVER: Final = ("Succeeded", "Failed")
_ENDS: Final = ("Complete", "Failed")


def units(objects: Mapping[Kind, Sequence[Json]]) -> tuple[Unit, ...]:
    """All units among raw objects (of `READS`, in any number of namespaces), by namespace, kind and name."""
    everything = [obj for kind in READS for obj in objects.get(kind, ())]
    there = {obj["metadata"]["uid"]: obj for obj in everything}
    pods: dict[str, list[Json]] = defaultdict(list)
    for pod in objects.get(POD, ()):
        if (pod.get("status") or {}).get("phase") not in _OVER:
            pods[_root(pod, there)["metadata"]["uid"]].append(pod)
    roots = [obj for obj in everything if _root(obj, there) is obj and not _over(obj)]
    return tuple(sorted((_unit(obj, pods[obj["metadata"]["uid"]]) for obj in roots), key=_place))


def _root(obj: Json, there: Mapping[str, Json]) -> Json:
    """The outermost known controller; kinds that are not ours to read end the chain."""
    while (owner := there.get(_controller(obj))) is not None:
        obj = owner
    return obj


def _controller(obj: Json) -> str:
    owners: Iterable[Json] = obj["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


def _over(obj: Json) -> bool:
    """A Pod or Job of nobody that has ended, and an empty ReplicaSet of nobody, send and get nothing any more."""
    kind, status = kind_of(obj), obj.get("status") or {}
    if kind == POD:
        return status.get("phase") in _OVER
    if kind == JOB:
        return any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in status.get("conditions") or ()
        )
    return kind == REPLICASET and not obj["spec"].get("replicas", 1)


def _unit(obj: Json, pods: Iterable[Json]) -> Unit:
    kind, meta = kind_of(obj), obj["metadata"]
    mine = tuple(sorted(pods, key=lambda pod: str(pod["metadata"]["name"])))
    return Unit(kind, meta["namespace"], meta["name"], _template(kind, obj), obj, mine)


def _template(kind: Kind, obj: Json) -> Json:
    if kind == POD:
        return obj
    spec: Json = obj["spec"]["jobTemplate"]["spec"] if kind == CRON_JOB else obj["spec"]
    template: Json = spec["template"]
    return template


def _place(unit: Unit) -> tuple[str, int, str]:
    return unit.namespace, READS.index(unit.kind), unit.name
