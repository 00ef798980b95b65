"""Whose pods are behind a Service: stable's, the candidate's, and those of others that requests reach today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rollout.plan.base import ROLE_LABEL, RUN_LABEL, Json
from rollout.plan.program import Program
from rollout.ports.router import Crowd, Labels


def crowd(program: Program, deployment: Json | None, stable: Json | None, pods: Iterable[Json] = ()) -> Crowd:
    """What is known before there is a candidate; `pods` are those behind the Service."""
    if deployment is None or stable is None:
        return Crowd()
    marks = {RUN_LABEL: program.split.run, ROLE_LABEL: "canary"}
    return Crowd(
        stable=labels_of(stable["spec"]["template"]),
        candidate={**labels_of(deployment["spec"]["template"]), **marks},
        others=tuple((pod["metadata"]["name"], labels_of(pod)) for pod in pods if _takes_requests(pod)),
    )


def labels_of(obj: Mapping[str, Json]) -> Labels:
    """The labels of an object or a template."""
    labels: Labels = (obj.get("metadata") or {}).get("labels") or {}
    return labels


def strangers(pods: Iterable[Json], replica_sets: Sequence[Json]) -> list[Json]:
    """The pods that neither a ReplicaSet of the target nor a run has made."""
    known = {rs["metadata"]["uid"] for rs in replica_sets}
    return [pod for pod in pods if not known & set(_owners(pod)) and RUN_LABEL not in labels_of(pod)]


def _owners(pod: Json) -> Iterable[str]:
    return (owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ())


def _takes_requests(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
