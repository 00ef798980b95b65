"""What is kept of an object that is watched: the fields we use.  Memory is what a controller of many plans costs."""

from __future__ import annotations

from typing import Final

from rollout.plan.base import Json
from rollout.plan.kinds import PLAN_RUN
from rollout.plan.stored import packed

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_POD_META: Final = ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
_POD_STATUS: Final = ("phase", "conditions", "initContainerStatuses", "containerStatuses")


def kept(obj: Json) -> Json:
    """The object without what nobody of ours reads.

    A long annotation keeps its key: whether an object has annotations decides how a patch adds one.
    """
    if obj["kind"] == "Pod":
        return _pod(obj)
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if LAST_APPLIED in (meta.get("annotations") or {}):
        meta["annotations"] = {**meta["annotations"], LAST_APPLIED: ""}
    small = {**obj, "metadata": meta}
    if obj["kind"] == PLAN_RUN.name and isinstance(obj["spec"].get("program"), dict):
        small["spec"] = {**obj["spec"], "program": packed(obj["spec"]["program"])}
    return small


def _pod(pod: Json) -> Json:
    """Of a pod only what tells whether it is well, whose it is, and where."""
    meta, status = pod["metadata"], pod.get("status") or {}
    node = (pod.get("spec") or {}).get("nodeName")
    return {
        "apiVersion": pod["apiVersion"],
        "kind": pod["kind"],
        "metadata": {key: meta[key] for key in _POD_META if key in meta},
        **({"spec": {"nodeName": node}} if node else {}),
        "status": {key: status[key] for key in _POD_STATUS if key in status},
    }
