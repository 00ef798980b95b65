"""The candidate Deployment: the held template under a name of its own."""

from __future__ import annotations

import orjson

from rollout.plan.base import ROLE_LABEL, RUN_LABEL, Json
from rollout.plan.kinds import DEPLOYMENT

_COPIED = ("minReadySeconds", "progressDeadlineSeconds", "strategy")


def manifest(deployment: Json, name: str, run: str, replicas: int, owner: Json) -> Json:
    """A Deployment that runs the held template.

    The pods keep all labels of the template, so that every NetworkPolicy, AuthorizationPolicy and mesh policy applies
    to them as to stable.  The Deployment's own labels and annotations are not copied (a GitOps tool would take it for
    its own and prune it); it has no owner reference (garbage collection must not take pods that a route names).
    """
    template = orjson.loads(orjson.dumps(deployment["spec"]["template"]))
    labels = {RUN_LABEL: run, ROLE_LABEL: "canary"}
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), **labels}
    meta.pop("creationTimestamp", None)
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.name,
        "metadata": {
            "name": name,
            "namespace": deployment["metadata"]["namespace"],
            "labels": {**owner["labels"], ROLE_LABEL: "canary"},
            "annotations": dict(owner["annotations"]),
        },
        "spec": {
            **{key: deployment["spec"][key] for key in _COPIED if key in deployment["spec"]},
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }
