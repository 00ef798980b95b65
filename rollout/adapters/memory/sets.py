"""The controllers of StatefulSets and DaemonSets in the in-memory cluster: pod by pod, each in its own way.

A StatefulSet goes from the highest number down and waits for each; one that does not get ready stops it for good, and
a template that is put back does not help: somebody has to delete that pod (kubernetes#67250).  The one node of this
cluster gives a DaemonSet one pod, and a new one only after the old one is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.kubelet import is_ready
from rollout.adapters.memory.replicasets import controller_of, everything, owner_reference
from rollout.adapters.memory.rolling import template_hash
from rollout.errors import RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import DAEMON_SET, POD, STATEFUL_SET, ref_of
from rollout.ports.cluster import guard_of

_HASH: Final = "controller-revision-hash"


class SetController:
    """What both kinds have in common: pods with a revision, and writes of them."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._objects = server.objects

    def _pods(self, owner: Json) -> list[Json]:
        meta = owner["metadata"]
        return [it for it in self._objects.of(POD, meta["namespace"]) if controller_of(it) == meta["uid"]]

    def _make(self, owner: Json, template: Json, labels: Mapping[str, str], **name: str) -> None:
        meta = template.get("metadata", {})
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **meta,
                **name,
                "labels": {**meta.get("labels", {}), **labels},
                "namespace": owner["metadata"]["namespace"],
                "ownerReferences": [owner_reference(owner)],
            },
            "spec": template["spec"],
        }
        try:
            self._server.create(pod, everything)
        except RolloutError:
            return  # a quota, or a webhook without its server: it is tried again at the next change

    def _drop(self, pod: Json) -> None:
        self._server.delete(ref_of(pod), guard_of(pod))

    def _say(self, owner: Json, status: Json) -> None:
        latest = self._objects.get(ref_of(owner)) or owner
        status = {"observedGeneration": latest["metadata"]["generation"], **status}
        if latest.get("status") != status:
            self._objects.put({**latest, "status": status})


class StatefulSetController(SetController):
    """Numbered pods."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__(server)
        self._templates: dict[tuple[str, str], Json] = {}
        """By the set's uid and a revision: what a real cluster keeps as ControllerRevisions."""

    def sync(self) -> None:
        """One look at every StatefulSet."""
        for owner in self._objects.of(STATEFUL_SET):
            pods = {it["metadata"]["name"]: it for it in self._pods(owner)}
            wanted = _revision(owner)
            self._templates[owner["metadata"]["uid"], wanted] = owner["spec"]["template"]
            if "deletionTimestamp" not in owner["metadata"]:
                self._advance(owner, pods, wanted)
            self._status(owner, wanted)

    def _advance(self, owner: Json, pods: Mapping[str, Json], wanted: str) -> None:
        name, spec = owner["metadata"]["name"], owner["spec"]
        names = [f"{name}-{number}" for number in range(spec["replicas"])]
        ordered = spec["podManagementPolicy"] == "OrderedReady"
        for number, one in enumerate(names):
            if one not in pods:
                self._number(owner, one, number, wanted)
            if ordered and (one not in pods or not is_ready(pods[one])):
                return
        if surplus := sorted(pods.keys() - set(names), key=_number_of):
            self._drop(pods[surplus[-1]])
            return
        strategy = spec["updateStrategy"]
        if strategy["type"] != "RollingUpdate":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for one in reversed(names[partition:]):
            if one not in pods or "deletionTimestamp" in pods[one]["metadata"]:
                return
            if pods[one]["metadata"]["labels"].get(_HASH) != wanted:
                self._drop(pods[one])
                return
            if not is_ready(pods[one]):
                return

    def _number(self, owner: Json, name: str, number: int, wanted: str) -> None:
        meta, strategy = owner["metadata"], owner["spec"]["updateStrategy"]
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        held = strategy["type"] == "RollingUpdate" and number < partition
        current = (owner.get("status") or {}).get("currentRevision", wanted)
        revision = current if held and (meta["uid"], current) in self._templates else wanted
        labels = {
            _HASH: revision,
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(number),
        }
        self._make(owner, self._templates[meta["uid"], revision], labels, name=name)

    def _status(self, owner: Json, wanted: str) -> None:
        pods = [it for it in self._pods(owner) if "deletionTimestamp" not in it["metadata"]]
        new = [it for it in pods if it["metadata"]["labels"].get(_HASH) == wanted]
        ready = [it for it in pods if is_ready(it)]
        before = (owner.get("status") or {}).get("currentRevision", wanted)
        done = len(new) == len(ready) == owner["spec"]["replicas"] and all(is_ready(it) for it in new)
        status: Json = {
            "replicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": len(ready),
            "updatedReplicas": len(new),
            "currentReplicas": len(new) if done else len(pods) - len(new),
            "currentRevision": wanted if done else before,
            "updateRevision": wanted,
        }
        self._say(owner, status)


class DaemonSetController(SetController):
    """One pod on the one node."""

    def sync(self) -> None:
        """One look at every DaemonSet."""
        for owner in self._objects.of(DAEMON_SET):
            wanted, pods = _revision(owner), self._pods(owner)
            if "deletionTimestamp" not in owner["metadata"]:
                self._advance(owner, pods, wanted)
            self._status(owner, self._pods(owner), wanted)

    def _advance(self, owner: Json, pods: Sequence[Json], wanted: str) -> None:
        if not pods:
            labels = {_HASH: wanted, "pod-template-generation": str(owner["metadata"]["generation"])}
            self._make(owner, owner["spec"]["template"], labels, generateName=f"{owner['metadata']['name']}-")
        rolls = owner["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        for pod in pods:
            if rolls and pod["metadata"]["labels"].get(_HASH) != wanted:
                self._drop(pod)

    def _status(self, owner: Json, pods: Sequence[Json], wanted: str) -> None:
        pods = [it for it in pods if "deletionTimestamp" not in it["metadata"]]
        ready = sum(is_ready(it) for it in pods)
        status: Json = {
            "desiredNumberScheduled": 1,
            "currentNumberScheduled": len(pods),
            "updatedNumberScheduled": sum(it["metadata"]["labels"].get(_HASH) == wanted for it in pods),
            "numberReady": ready,
            "numberAvailable": ready,
            "numberMisscheduled": 0,
        }
        self._say(owner, status)


def _revision(owner: Mapping[str, Any]) -> str:
    return template_hash(owner["spec"]["template"])


def _number_of(name: str) -> int:
    return int(name.rpartition("-")[2])
