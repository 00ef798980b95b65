"""The ReplicaSet controller of the in-memory cluster: as many pods as asked for."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.kubelet import is_ready
from rollout.adapters.memory.objects import moment_of, rfc3339
from rollout.errors import RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import POD, REPLICASET, ref_of
from rollout.ports.cluster import guard_of


def controller_of(obj: Json) -> str:
    """The uid of the owner that controls the object, or nothing."""
    owners = obj["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


def owner_reference(owner: Json) -> Json:
    """What a controller writes into what it creates."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def everything(verb: str, *_: object) -> bool:
    """The rights of a controller of the cluster's own, which cannot release: nobody gave it that verb."""
    return verb != "release"


class ReplicaSetController:
    """Creates and deletes pods. `quota` limits the pods of a namespace."""

    def __init__(self, server: ApiServer, quota: Mapping[str, int]) -> None:
        self._server = server
        self._objects = server.objects
        self._quota = quota

    def sync(self) -> None:
        """One look at every ReplicaSet."""
        pods: dict[str, list[Json]] = {}
        for pod in self._objects.of(POD):
            if "deletionTimestamp" not in pod["metadata"]:
                pods.setdefault(controller_of(pod), []).append(pod)
        for replica_set in self._objects.of(REPLICASET):
            self._sync(replica_set, pods.get(replica_set["metadata"]["uid"], []))

    def _sync(self, replica_set: Json, pods: list[Json]) -> None:
        failure: Json | None = None
        if "deletionTimestamp" not in replica_set["metadata"]:
            missing = replica_set["spec"]["replicas"] - len(pods)
            if missing > 0:
                failure = self._create(replica_set, missing)
            elif missing < 0:
                for pod in sorted(pods, key=_worth)[:-missing]:
                    self._server.delete(ref_of(pod), guard_of(pod))
        self._write_status(replica_set, failure)

    def _create(self, replica_set: Json, count: int) -> Json | None:
        meta, template = replica_set["metadata"], replica_set["spec"]["template"]
        for _ in range(count):
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **template.get("metadata", {}),
                    "generateName": f"{meta['name']}-",
                    "namespace": meta["namespace"],
                    "ownerReferences": [owner_reference(replica_set)],
                },
                "spec": template["spec"],
            }
            message = self._over_quota(meta["namespace"], meta["name"])
            if not message:
                try:
                    self._server.create(pod, everything)
                    continue
                except RolloutError as error:
                    message = str(error)
            return {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
        return None

    def _over_quota(self, namespace: str, name: str) -> str:
        limit = self._quota.get(namespace)
        used = len(self._objects.of(POD, namespace)) if limit is not None else 0
        if limit is None or used < limit:
            return ""
        return (
            f'pods "{name}-" is forbidden: exceeded quota: pods, requested: pods=1, used: pods={used}, '
            f"limited: pods={limit}"
        )

    def _write_status(self, replica_set: Json, failure: Json | None) -> None:
        spec, uid = replica_set["spec"], replica_set["metadata"]["uid"]
        pods = [
            pod
            for pod in self._objects.of(POD, replica_set["metadata"]["namespace"])
            if controller_of(pod) == uid and "deletionTimestamp" not in pod["metadata"]
        ]
        ready = [pod for pod in pods if is_ready(pod)]
        status: Json = {
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(self._available(pod, spec.get("minReadySeconds", 0)) for pod in ready),
            "observedGeneration": replica_set["metadata"]["generation"],
        }
        # a number that is 0 is left out of the JSON, except `replicas`
        status = {"replicas": len(pods), **{key: value for key, value in status.items() if value != 0}}
        if failure is not None:
            was = replica_set.get("status", {}).get("conditions", [{}])[0]
            since = was.get("lastTransitionTime", rfc3339(self._objects.now()))
            status["conditions"] = [{**failure, "lastTransitionTime": since}]
        if replica_set.get("status") != status:
            self._objects.put({**replica_set, "status": status})

    def _available(self, pod: Json, min_ready: int) -> bool:
        since = next(c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == "Ready")
        return min_ready == 0 or self._objects.now() >= moment_of(since) + min_ready


def _worth(pod: Json) -> tuple[bool, bool, bool, str]:
    """Sorts the pods that go first to the front: not scheduled, not running, not ready."""
    running = pod.get("status", {}).get("phase") == "Running"
    return bool(pod["spec"].get("nodeName")), running, is_ready(pod), pod["metadata"]["name"]
