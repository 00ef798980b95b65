"""The Deployment controller of the in-memory cluster: rolls, pauses, scales and reports as the real one does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.adapters.memory import rolling
from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.replicasets import controller_of, everything, owner_reference
from rollout.adapters.memory.rules import matches
from rollout.errors import AlreadyExists
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, REPLICASET, ref_of
from rollout.ports.cluster import guard_of

_DEADLINE: Final = "ProgressDeadlineExceeded"


class DeploymentController:
    """One sync does what one sync of the real controller does: at most one scaling decision per Deployment."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._objects = server.objects

    def sync(self) -> None:
        """One look at every Deployment."""
        for deployment in self._objects.of(DEPLOYMENT):
            owned = self._owned(deployment)
            if "deletionTimestamp" in deployment["metadata"]:
                self._write_status(deployment, owned)
                continue
            deployment = self._numbered(deployment, owned)
            self._advance(deployment, owned)
            latest = self._objects.get(ref_of(deployment)) or deployment
            self._write_status(latest, self._owned(latest))

    def _advance(self, deployment: Json, owned: Sequence[Json]) -> None:
        spec = deployment["spec"]
        new = newest(deployment, owned)
        old = [rs for rs in owned if rs is not new]
        if spec.get("paused") or _rescaled(spec, owned):
            self._scale(deployment, new, old)
            if spec.get("paused"):
                self._forget(deployment, new, old)
            return
        if spec["strategy"]["type"] == "Recreate" and new is None and rolling.sum_status(old, "replicas") > 0:
            for rs in old:
                self._resize(deployment, rs, 0)
            return
        if new is None:
            self._create(deployment, old)
            return
        size = rolling.size_for_new(spec, new, old)
        if size != new["spec"]["replicas"]:
            self._resize(deployment, new, size)
            return
        for rs, keep in zip(old, rolling.sizes_for_old(spec, new, old), strict=True):
            if keep != rs["spec"]["replicas"]:
                self._resize(deployment, rs, keep)
        if rolling.complete(deployment, self._counts(deployment, owned)):
            self._forget(deployment, new, old)

    # -- ReplicaSets

    def _owned(self, deployment: Json) -> list[Json]:
        """Its ReplicaSets, oldest first; orphans that its selector matches are adopted."""
        meta = deployment["metadata"]
        found = []
        for rs in self._objects.of(REPLICASET, meta["namespace"]):
            owner = controller_of(rs)
            selected = matches(rs["metadata"].get("labels"), deployment["spec"]["selector"]["matchLabels"])
            if not owner and selected and "deletionTimestamp" not in meta and "deletionTimestamp" not in rs["metadata"]:
                rs = self._objects.put(
                    {**rs, "metadata": {**rs["metadata"], "ownerReferences": [owner_reference(deployment)]}}
                )
                owner = meta["uid"]
            if owner == meta["uid"]:
                found.append(rs)
        return sorted(found, key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["uid"]))

    def _create(self, deployment: Json, old: Sequence[Json]) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        collisions = deployment.get("status", {}).get("collisionCount", 0)
        hash_ = rolling.template_hash(spec["template"], collisions)
        template_meta = spec["template"].get("metadata", {})
        labels = {**template_meta.get("labels", {}), rolling.HASH_LABEL: hash_}
        room = max(0, spec["replicas"] + rolling.bounds(spec)[0] - rolling.replicas_of(old))
        selector = {**spec["selector"]["matchLabels"], rolling.HASH_LABEL: hash_}
        replica_set: Json = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{meta['name']}-{hash_}",
                "namespace": meta["namespace"],
                "labels": labels,
                "annotations": _inherited(deployment, _next_revision(old)),
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {
                "replicas": min(room, spec["replicas"]),
                "selector": {"matchLabels": selector},
                "template": {**spec["template"], "metadata": {**template_meta, "labels": labels}},
            },
        }
        if spec.get("minReadySeconds"):
            replica_set["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        status = dict(deployment.get("status", {}))
        try:
            self._server.create(replica_set, everything)
        except AlreadyExists:
            # the name belongs to a ReplicaSet of a Deployment that was deleted: try another hash
            self._objects.put({**deployment, "status": {**status, "collisionCount": collisions + 1}})
            return
        message = f'Created new replica set "{replica_set["metadata"]["name"]}"'
        made = rolling.condition("Progressing", "True", "NewReplicaSetCreated", message, self._objects.now())
        status["conditions"] = rolling.with_condition(status.get("conditions", []), made, touch=True)
        numbered = self._objects.put({**deployment, "status": status})
        self._numbered(numbered, self._owned(numbered))

    def _numbered(self, deployment: Json, owned: Sequence[Json]) -> Json:
        """Keep the revision annotations of the Deployment and of its newest ReplicaSet."""
        new = newest(deployment, owned)
        if new is None:
            return deployment
        revision = max(
            rolling.number_in(new, rolling.REVISION), int(_next_revision([rs for rs in owned if rs is not new]))
        )
        was = new["metadata"].get("annotations", {})
        notes = {**was, **_inherited(deployment, str(revision))}
        for kept in (rolling.DESIRED, rolling.MAX_REPLICAS):
            if kept in was:
                notes[kept] = was[kept]
        if notes != was:
            self._objects.put({**new, "metadata": {**new["metadata"], "annotations": notes}})
        meta = deployment["metadata"]
        if rolling.number_in(deployment, rolling.REVISION) != revision:
            annotations = {**meta.get("annotations", {}), rolling.REVISION: str(revision)}
            deployment = self._objects.put({**deployment, "metadata": {**meta, "annotations": annotations}})
        return deployment

    def _scale(self, deployment: Json, new: Json | None, old: Sequence[Json]) -> None:
        everyone = [*old, *([new] if new is not None else [])]
        active = [rs for rs in everyone if rs["spec"]["replicas"] > 0]
        replicas = deployment["spec"]["replicas"]
        if len(active) <= 1:
            only = active[0] if active else new or (old[-1] if old else None)
            if only is not None:
                self._resize(deployment, only, replicas)
        elif new is not None and _saturated(new, replicas):
            for rs in old:
                self._resize(deployment, rs, 0)
        else:
            sizes = rolling.proportional(deployment["spec"], deployment.get("status", {}), active)
            for rs, size in zip(active, sizes, strict=True):
                self._resize(deployment, rs, size)

    def _resize(self, deployment: Json, rs: Json, size: int) -> None:
        rs = self._objects.get(ref_of(rs)) or rs
        replicas = deployment["spec"]["replicas"]
        most = replicas + rolling.bounds(deployment["spec"])[0]
        meta = rs["metadata"]
        notes = {
            **meta.get("annotations", {}),
            rolling.DESIRED: str(replicas),
            rolling.MAX_REPLICAS: str(most),
        }
        changed = size != rs["spec"]["replicas"]
        if changed or notes != meta.get("annotations", {}):
            meta = {**meta, "annotations": notes, "generation": meta["generation"] + changed}
            self._objects.put({**rs, "metadata": meta, "spec": {**rs["spec"], "replicas": size}})

    def _forget(self, deployment: Json, new: Json | None, old: Sequence[Json]) -> None:
        """Delete the oldest empty revisions beyond `revisionHistoryLimit`."""
        empty = [
            rs
            for rs in old
            if rs["spec"]["replicas"] == 0
            and rolling.sum_status([rs], "replicas") == 0
            and rs.get("status", {}).get("observedGeneration", 0) >= rs["metadata"]["generation"]
        ]
        empty.sort(key=lambda rs: rolling.number_in(rs, rolling.REVISION))
        surplus = len(old) - deployment["spec"]["revisionHistoryLimit"]
        for rs in empty[: max(0, surplus)]:
            if (latest := self._objects.get(ref_of(rs))) is not None:
                self._server.delete(ref_of(latest), guard_of(latest))

    # -- status

    def _counts(self, deployment: Json, owned: Sequence[Json]) -> Json:
        new = newest(deployment, owned)
        return {
            "replicas": rolling.sum_status(owned, "replicas"),
            "updatedReplicas": rolling.sum_status([new] if new else [], "replicas"),
            "readyReplicas": rolling.sum_status(owned, "readyReplicas"),
            "availableReplicas": rolling.sum_status(owned, "availableReplicas"),
        }

    def _write_status(self, deployment: Json, owned: Sequence[Json]) -> None:
        was: Json = deployment.get("status", {})
        counts = self._counts(deployment, owned)
        status: Json = {
            "observedGeneration": deployment["metadata"]["generation"],
            **counts,
            "unavailableReplicas": max(0, rolling.replicas_of(owned) - counts["availableReplicas"]),
            "conditions": self._conditions(deployment, owned, was, counts),
        }
        if "collisionCount" in was:
            status["collisionCount"] = was["collisionCount"]
        status = {key: value for key, value in status.items() if value != 0}
        if status != was:
            self._objects.put({**deployment, "status": status})

    def _conditions(self, deployment: Json, owned: Sequence[Json], was: Json, counts: Json) -> list[Json]:
        now, spec = self._objects.now(), deployment["spec"]
        enough = counts["availableReplicas"] >= spec["replicas"] - rolling.bounds(spec)[1]
        available = (
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        )
        conditions = rolling.with_condition(was.get("conditions", []), rolling.condition("Available", *available, now))
        conditions = self._progress(deployment, conditions, was, counts)
        failure = self._failure(deployment, owned)
        conditions = [c for c in conditions if c["type"] != "ReplicaFailure"]
        return [*conditions, failure] if failure else conditions

    def _progress(self, deployment: Json, conditions: list[Json], was: Json, counts: Json) -> list[Json]:
        now, spec = self._objects.now(), deployment["spec"]
        current = next((c for c in conditions if c["type"] == "Progressing"), None)
        reason = current["reason"] if current else ""

        def say(status: str, reason: str, message: str, *, touch: bool = False) -> list[Json]:
            new = rolling.condition("Progressing", status, reason, message, now)
            return rolling.with_condition(conditions, new, touch=touch)

        if spec.get("paused"):
            return conditions if reason == _DEADLINE else say("Unknown", "DeploymentPaused", "Deployment is paused")
        if reason == "DeploymentPaused":
            return say("Unknown", "DeploymentResumed", "Deployment is resumed")
        steady = counts["replicas"] == counts["updatedReplicas"] and reason == "NewReplicaSetAvailable"
        name = deployment["metadata"]["name"]
        if steady:
            return conditions
        if rolling.complete(deployment, counts):
            return say("True", "NewReplicaSetAvailable", f'Deployment "{name}" has successfully progressed.')
        if rolling.progressed(was, counts):
            return say("True", "ReplicaSetUpdated", f'Deployment "{name}" is progressing.', touch=True)
        if rolling.timed_out(spec, current, now):
            return say("False", _DEADLINE, f'Deployment "{name}" has timed out progressing.')
        return conditions

    def _failure(self, deployment: Json, owned: Sequence[Json]) -> Json | None:
        new = newest(deployment, owned)
        for rs in [new] if new else owned:
            for condition in rs.get("status", {}).get("conditions", ()):
                if condition["type"] == "ReplicaFailure":
                    return {**condition, "lastUpdateTime": condition["lastTransitionTime"]}
        return None


def newest(deployment: Json, owned: Sequence[Json]) -> Json | None:
    """The ReplicaSet of the template that the Deployment asks for; the oldest one if there are several."""
    wanted = rolling.bare(deployment["spec"]["template"])
    return next((rs for rs in owned if rolling.bare(rs["spec"]["template"]) == wanted), None)


def _rescaled(spec: Json, owned: Sequence[Json]) -> bool:
    active = [rs for rs in owned if rs["spec"]["replicas"] > 0]
    desired = [rolling.number_in(rs, rolling.DESIRED) for rs in active if _knows(rs)]
    return any(number != spec["replicas"] for number in desired)


def _knows(rs: Json) -> bool:
    return rolling.DESIRED in rs["metadata"].get("annotations", {})


def _saturated(rs: Json, replicas: int) -> bool:
    wanted = (rs["spec"]["replicas"], rolling.number_in(rs, rolling.DESIRED))
    return wanted == (replicas, replicas) and rolling.sum_status([rs], "availableReplicas") == replicas


def _next_revision(old: Sequence[Json]) -> str:
    return str(max((rolling.number_in(rs, rolling.REVISION) for rs in old), default=0) + 1)


def _inherited(deployment: Json, revision: str) -> Json:
    spec = deployment["spec"]
    notes = deployment["metadata"].get("annotations", {})
    return {
        **{key: value for key, value in notes.items() if key not in rolling.NOT_COPIED},
        rolling.REVISION: revision,
        rolling.DESIRED: str(spec["replicas"]),
        rolling.MAX_REPLICAS: str(spec["replicas"] + rolling.bounds(spec)[0]),
    }
