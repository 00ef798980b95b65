"""Scheduler and kubelet of the in-memory cluster: they bring pods from created to ready, and from deleted to gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rollout.adapters.memory.behaviour import Behaviour, Behaviours
from rollout.adapters.memory.objects import Objects, rfc3339
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, POD, SECRET, Ref, ref_of

NODE: Final = "node-1"
_PULL_BACKOFF: Final = 10.0
_MAX_BACKOFF: Final = 300.0


@dataclass(slots=True)
class _Life:
    """What the node knows of a pod."""

    number: int
    scheduled: float
    started: bool = False
    stopping: float | None = None
    ends: bool = False
    """It belongs to a Job that has not ended yet."""
    settled: tuple[str, int] | None = None
    """The pod's version and the behaviours that need no second look."""


class Kubelet:
    """One node that all pods run on."""

    def __init__(self, objects: Objects, behaviours: Behaviours) -> None:
        self._objects = objects
        self._behaviours = behaviours
        self._lives: dict[str, _Life] = {}
        self._numbers = 0

    def sync(self) -> None:
        """Bring every pod as far as it has come by now."""
        for pod in self._objects.of(POD):
            uid = pod["metadata"]["uid"]
            if uid not in self._lives and not self._schedule(pod):
                continue
            if "deletionTimestamp" in pod["metadata"]:
                self._stop(pod, self._lives[uid])
            else:
                self._run(pod, self._lives[uid])

    @property
    def busy(self) -> bool:
        """Whether time alone can change a pod."""
        return any(not it.started or it.ends or it.stopping is not None for it in self._lives.values())

    def _schedule(self, pod: Json) -> bool:
        limit = self._behaviours.of_pod(pod).unschedulable_after
        if limit is not None and self._running_like(pod) >= limit:
            message = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available."
            refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            self._store(pod, {"phase": "Pending"}, [refused])
            return False
        self._numbers += 1
        self._lives[pod["metadata"]["uid"]] = _Life(self._numbers, self._objects.now())
        self._objects.put({**pod, "spec": {**pod["spec"], "nodeName": NODE}})
        return True

    def _running_like(self, pod: Json) -> int:
        images = _images(pod)
        return sum(p["metadata"]["uid"] in self._lives and _images(p) == images for p in self._objects.of(POD))

    def _stop(self, pod: Json, life: _Life) -> None:
        if life.stopping is None:
            life.stopping = self._objects.now()
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        wait = min(grace, self._behaviours.of_pod(pod).stop_seconds) if life.started else 0.0
        if self._objects.now() >= life.stopping + wait and not pod["metadata"].get("finalizers"):
            self._objects.remove(ref_of(pod))
            del self._lives[pod["metadata"]["uid"]]

    def _run(self, pod: Json, life: _Life) -> None:
        pod = self._objects.get(ref_of(pod)) or pod
        known = (pod["metadata"]["resourceVersion"], self._behaviours.changes)
        if life.settled == known:
            return
        if self._over(pod, life):
            life.settled = known
            return
        own = self._behaviours.of_pod(pod)
        sidecars = [it for it in pod["spec"].get("initContainers") or () if it.get("restartPolicy") == "Always"]
        since = self._objects.now() - life.scheduled
        carried = since >= own.proxy_start_seconds and not own.proxy_never_ready if sidecars else None
        missing = "" if life.started else self._missing(pod)
        statuses = [
            self._container(container, life, missing, self._behaviours.of(container["image"]), carried=carried)
            for container in pod["spec"]["containers"]
        ]
        ready = all(status["ready"] for status in statuses) and carried is not False
        started = all("running" in status["state"] for status in statuses)
        life.started = life.started or ready
        word = "True" if ready else "False"
        begun = "True" if carried is not False or life.started else "False"
        conditions: list[Json] = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Initialized", "status": begun},
            {"type": "ContainersReady", "status": word},
            {"type": "Ready", "status": word},
        ]
        status = {
            "phase": "Running" if started or life.started else "Pending",
            "podIP": f"10.1.{life.number // 250}.{life.number % 250 + 2}",
            "startTime": rfc3339(life.scheduled),
            "containerStatuses": statuses,
        }
        if sidecars:
            status["initContainerStatuses"] = [_sidecar(it, life, carried=bool(carried)) for it in sidecars]
        self._store(pod, status, conditions)
        life.settled = known if ready and not life.ends else None

    def _over(self, pod: Json, life: _Life) -> bool:
        """End the pod of a Job when its containers have run; whether it has ended."""
        own, status = self._behaviours.of_pod(pod), pod.get("status", {})
        if status.get("phase") == "Succeeded":
            return True
        life.ends = pod["spec"].get("restartPolicy", "Always") != "Always"
        if not life.ends:
            return False
        age = self._objects.now() - life.scheduled
        if not life.started or own.never_ready or age < own.start_seconds + own.proxy_start_seconds + own.run_seconds:
            return False
        life.ends = False
        ended = [{**it, "ready": False, "state": {"terminated": {"exitCode": 0}}} for it in status["containerStatuses"]]
        no = [{"type": type_, "status": "False", "reason": "PodCompleted"} for type_ in ("ContainersReady", "Ready")]
        same = [it for it in status["conditions"] if it["type"] in ("PodScheduled", "Initialized")]
        self._store(pod, {**status, "phase": "Succeeded", "containerStatuses": ended}, [*map(dict, same), *no])
        return True

    def _container(
        self, container: Json, life: _Life, missing: str, behaviour: Behaviour, *, carried: bool | None
    ) -> Json:
        """One container; `carried` is whether the pod's proxy is ready, None for a pod without one."""
        age = self._objects.now() - life.scheduled - (0.0 if carried is None else behaviour.proxy_start_seconds)
        restarts, ready = 0, False
        if missing:
            state = _waiting("CreateContainerConfigError", missing)
        elif carried is False and not life.started:
            state = _waiting("PodInitializing", "")
        elif behaviour.image_pull_error and not life.started:
            reason = "ErrImagePull" if age < _PULL_BACKOFF else "ImagePullBackOff"
            state = _waiting(reason, f'failed to pull image "{container["image"]}": not found')
        elif behaviour.crash and age >= behaviour.start_seconds:
            restarts = _restarts(age, behaviour.start_seconds)
            state = _waiting("CrashLoopBackOff", f"back-off restarting failed container {container['name']}")
        elif age < behaviour.start_seconds and not life.started:
            state = _waiting("ContainerCreating", "")
        else:
            ready = not behaviour.never_ready
            state = {"running": {"startedAt": rfc3339(life.scheduled)}}
        return {
            "name": container["name"],
            "image": container["image"],
            "ready": ready,
            "started": ready,
            "restartCount": restarts,
            "state": state,
        }

    def _missing(self, pod: Json) -> str:
        namespace = pod["metadata"]["namespace"]
        for ref in config_of(pod["spec"], namespace):
            if self._objects.get(ref) is None:
                return f'{ref.kind.name.lower()} "{ref.name}" not found'
        return ""

    def _store(self, pod: Json, status: Json, conditions: list[Json]) -> None:
        before = {c["type"]: c for c in pod.get("status", {}).get("conditions", ())}
        moment = rfc3339(self._objects.now())
        for condition in conditions:
            was = before.get(condition["type"])
            same = was is not None and was["status"] == condition["status"]
            condition["lastTransitionTime"] = was["lastTransitionTime"] if was and same else moment
        status = {**status, "conditions": conditions}
        if pod.get("status") != status:
            self._objects.put({**pod, "status": status})


def config_of(spec: Json, namespace: str) -> Iterable[Ref]:
    """The ConfigMaps and Secrets without which a pod does not start."""
    for container in spec["containers"]:
        for source in container.get("envFrom", ()):
            yield from _config_refs(source, "configMapRef", "secretRef", namespace)
        for variable in container.get("env", ()):
            yield from _config_refs(variable.get("valueFrom", {}), "configMapKeyRef", "secretKeyRef", namespace)
    for volume in spec.get("volumes", ()):
        if "configMap" in volume and not volume["configMap"].get("optional"):
            yield Ref(CONFIGMAP, namespace, volume["configMap"]["name"])
        if "secret" in volume and not volume["secret"].get("optional"):
            yield Ref(SECRET, namespace, volume["secret"]["secretName"])


def _config_refs(source: Json, config_map: str, secret: str, namespace: str) -> Iterable[Ref]:
    for key, kind in ((config_map, CONFIGMAP), (secret, SECRET)):
        if key in source and not source[key].get("optional"):
            yield Ref(kind, namespace, source[key]["name"])


def is_ready(pod: Json) -> bool:
    """Whether the pod takes requests: ready, and not being deleted."""
    return "deletionTimestamp" not in pod["metadata"] and runs(pod)


def runs(pod: Json) -> bool:
    """Whether its containers run, so that it may call others: ready, be it on its way out."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))


def _images(pod: Json) -> list[str]:
    return [container["image"] for container in pod["spec"]["containers"]]


def _sidecar(container: Json, life: _Life, *, carried: bool) -> Json:
    state = {"running": {"startedAt": rfc3339(life.scheduled)}}
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "ready": carried,
        "started": carried,
        "restartCount": 0,
        "state": state,
    }


def _waiting(reason: str, message: str) -> Json:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _restarts(age: float, start_seconds: float) -> int:
    """Restarts so far with the kubelet's back-off: 10 s, doubled each time, at most 300 s."""
    left, pause, count = age - start_seconds, 10.0, 0
    while left >= 0:
        count += 1
        left -= pause + start_seconds
        pause = min(_MAX_BACKOFF, pause * 2)
    return count
