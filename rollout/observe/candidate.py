"""The candidate Deployment and its pods: how far it is, and whose fault it is when it does not get there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rollout.decide.seen import CandidateView, Trouble
from rollout.plan.base import RUN_UID, Json

BROKEN: Final = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
    }
)
"""Waiting reasons that are the version's fault: no amount of waiting mends them."""

RESTARTS: Final = 3
"""So many restarts of one container are a crash loop, also while the kubelet is between two of its back-offs."""


def parse(deployment: Json, pods: Iterable[Json], run_uid: str) -> CandidateView:
    """What deciding needs to know of the candidate."""
    meta, status = deployment["metadata"], deployment.get("status") or {}
    settled = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    return CandidateView(
        uid=meta["uid"],
        replicas=deployment["spec"].get("replicas", 1),
        ready=status.get("readyReplicas", 0),
        settled=settled,
        deleting="deletionTimestamp" in meta,
        ours=(meta.get("annotations") or {}).get(RUN_UID) == run_uid,
        trouble=_pods_trouble(pods) or _quota(status),
    )


def _pods_trouble(pods: Iterable[Json]) -> Trouble | None:
    """The worst of all pods: broken before blocked."""
    troubles = [t for pod in pods if "deletionTimestamp" not in pod["metadata"] for t in _trouble(pod)]
    return next((t for t in troubles if t.kind == "broken"), troubles[0] if troubles else None)


def _trouble(pod: Json) -> Iterable[Trouble]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        yield from _container(name, container)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            text = f"pod {name} cannot be scheduled: {condition.get('message', '')}"
            yield Trouble("blocked", "Unschedulable", text)


def _container(pod: str, status: Json) -> Iterable[Trouble]:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    last = (status.get("lastState") or {}).get("terminated") or {}
    where = f"container {status['name']} of pod {pod}"
    if reason in BROKEN:
        yield Trouble("broken", reason, f"{where}: {reason}{_last_exit(last)}{_tail(waiting)}")
    elif status.get("restartCount", 0) >= RESTARTS and not status.get("ready"):
        count = status["restartCount"]
        yield Trouble("broken", "CrashLoop", f"{where} restarted {count} times{_last_exit(last)}")


def _last_exit(terminated: dict[str, Any]) -> str:
    return f", last exit code {terminated['exitCode']}" if "exitCode" in terminated else ""


def _tail(waiting: dict[str, Any]) -> str:
    message = str(waiting.get("message", "")).strip()
    return f" ({message[:160]})" if message else ""


def _quota(status: dict[str, Any]) -> Trouble | None:
    for condition in status.get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Trouble("blocked", condition.get("reason", ""), f"pods are refused: {condition.get('message', '')}")
    return None
