"""Pod templates: when two are the same version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

HASH_LABEL: Final = "pod-template-hash"
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"


def digest(template: Mapping[str, Any]) -> str:
    """Ten hex digits that are equal exactly when the templates are, `pod-template-hash` aside.

    Both sides must come from the API server, so that defaults are filled in alike (the rule is Kubernetes' own:
    a ReplicaSet belongs to a template when they are equal but for that label).
    """
    meta = template.get("metadata") or {}
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH_LABEL}
    body = {
        "labels": labels,
        "annotations": meta.get("annotations") or {},
        "finalizers": meta.get("finalizers") or [],
        "spec": template.get("spec") or {},
    }
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:10]


def restart_only(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether `kubectl rollout restart` is the only difference."""
    return digest(old) != digest(new) and digest(_without_restart(old)) == digest(_without_restart(new))


def _without_restart(template: Mapping[str, Any]) -> dict[str, Any]:
    meta = dict(template.get("metadata") or {})
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != RESTARTED_AT}
    return {**template, "metadata": {**meta, "annotations": notes}}


def images(template: Mapping[str, Any]) -> dict[str, str]:
    """Image by container name."""
    return {c["name"]: c.get("image", "") for c in (template.get("spec") or {}).get("containers", [])}
