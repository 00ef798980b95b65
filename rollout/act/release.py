"""The writes to the target Deployment: few, small, and only to `paused` and our own annotations."""

from __future__ import annotations

from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json, label_value


def pointer(*parts: str) -> str:
    """An RFC 6901 JSON pointer."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def release_ops(deployment: Json, token: str) -> list[Json]:
    """Un-pause; where a policy holds the Deployment, with a new release annotation and without the held mark."""
    meta = deployment["metadata"]
    notes = meta.get("annotations") or {}
    ops: list[Json] = []
    if HOLD_LABEL in (meta.get("labels") or {}):
        if not notes:
            ops.append({"op": "add", "path": "/metadata/annotations", "value": {}})
        ops.append({"op": "add", "path": pointer("metadata", "annotations", RELEASE), "value": token})
    if HELD in notes:
        ops.append({"op": "remove", "path": pointer("metadata", "annotations", HELD)})
    if deployment["spec"].get("paused"):
        ops.append({"op": "remove", "path": "/spec/paused"})
    return ops


def hold_for_ops(deployment: Json, plan: str, token: str) -> list[Json]:
    """Label it as held for a plan; nothing where it is.

    A label that names another plan is changed with a release, or a policy would put it back; mark and pause stay.
    """
    meta = deployment["metadata"]
    labels, value = meta.get("labels") or {}, label_value(plan)
    if labels.get(HOLD_LABEL) == value:
        return []
    ops: list[Json] = [] if labels else [{"op": "add", "path": "/metadata/labels", "value": {}}]
    ops.append({"op": "add", "path": pointer("metadata", "labels", HOLD_LABEL), "value": value})
    if HOLD_LABEL in labels:
        ops += [] if meta.get("annotations") else [{"op": "add", "path": "/metadata/annotations", "value": {}}]
        ops.append({"op": "add", "path": pointer("metadata", "annotations", RELEASE), "value": token})
    return ops


def end_hold_ops(deployment: Json, token: str) -> list[Json]:
    """Take label and mark off, with a release, or a policy would put them back; a pause stays, as an ordinary one."""
    ops = [op for op in release_ops(deployment, token) if op["path"] != "/spec/paused"]
    return [*ops, {"op": "remove", "path": pointer("metadata", "labels", HOLD_LABEL)}]


def pause_ops() -> list[Json]:
    """Pause."""
    return [{"op": "add", "path": "/spec/paused", "value": True}]


def take_back_ops(deployment: Json, stable: Json, token: str) -> list[Json]:
    """Write the stable ReplicaSet's template again and let it roll: the inverse of a release."""
    return [_template_op(stable), *release_ops(deployment, token)]


def hold_again_ops(deployment: Json, tried: Json) -> list[Json]:
    """Write the tried ReplicaSet's template again, paused in the same write; marked, unless it rests paused anyway."""
    return [_template_op(tried), *hold_ops(deployment)]


def hold_ops(deployment: Json) -> list[Json]:
    """Pause and mark as held, to go with a new template in the same write; nothing where it is paused already."""
    if deployment["spec"].get("paused"):
        return []
    ops = pause_ops()
    if not deployment["metadata"].get("annotations"):
        ops.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    return [*ops, {"op": "add", "path": pointer("metadata", "annotations", HELD), "value": "true"}]


def _template_op(replica_set: Json) -> Json:
    template = {**replica_set["spec"]["template"]}
    meta = {**(template.get("metadata") or {})}
    meta["labels"] = {k: v for k, v in (meta.get("labels") or {}).items() if k != "pod-template-hash"}
    template["metadata"] = meta
    return {"op": "replace", "path": "/spec/template", "value": template}
