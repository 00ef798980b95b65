"""What Git should hold after an adoption: the labels of workloads and namespace, and the objects that were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from rollout.checks.adoption.meshes import WANTED
from rollout.cli.session import Session
from rollout.controller.view import RunView
from rollout.errors import Unsupported
from rollout.observe.units import READS
from rollout.plan.base import GROUP, PLAN_LABEL, Json, label_value
from rollout.plan.kinds import AUTHORIZATION_POLICY, CRON_JOB, NAMESPACE, PEER_AUTHENTICATION, Kind, Ref, kind_of
from rollout.plan.program import Apply, Enrol, Label

_KEYS: Final = frozenset(mark.key for mark in WANTED)
_OWN: Final = ("creationTimestamp", "generation", "managedFields", "ownerReferences", "resourceVersion", "uid")
_MARKS: Final = ("kubectl.kubernetes.io/last-applied-configuration", "app.kubernetes.io/managed-by")


async def documents(session: Session, view: RunView) -> list[Json]:
    """Patches and manifests, in the order of the run's steps; of what is not there any more, nothing."""
    namespace, found = view.namespace, []
    for it in (it for step in view.spec.program.steps for it in step.instructions):
        match it:
            case Enrol():
                kind = next(kind for kind in READS if kind.name == it.unit.kind)
                found.append(_enrolled(await session.world.cluster.get(Ref(kind, namespace, it.unit.name))))
            case Label():
                found.append(_labelled(await session.world.cluster.get(Ref(NAMESPACE, "", namespace))))
            case Apply():
                found.append(_manifest(it.manifest, namespace))
            case _:
                continue
    there = [it for it in found if it]
    known = {(it["kind"], it["metadata"]["name"]) for it in there}
    made = [obj for kind in (PEER_AUTHENTICATION, AUTHORIZATION_POLICY) for obj in await _ours(session, kind, view)]
    return there + [it for it in made if (it["kind"], it["metadata"]["name"]) not in known]


def text(found: Iterable[Json]) -> str:
    """As one YAML text."""
    return "---\n".join(yaml.safe_dump(it, sort_keys=False, allow_unicode=True) for it in found)


async def _ours(session: Session, kind: Kind, view: RunView) -> list[Json]:
    """What the plan's runs made and left."""
    try:
        found = await session.world.cluster.list(kind, view.namespace, {PLAN_LABEL: label_value(view.spec.plan)})
    except Unsupported:
        return []
    return [_clean(obj) for obj in found]


def _enrolled(workload: Json | None) -> Json | None:
    """What to add to a pod template."""
    if workload is None:
        return None
    job = kind_of(workload) == CRON_JOB
    spec: Json = workload["spec"]["jobTemplate"]["spec"] if job else workload["spec"]
    meta = spec["template"].get("metadata") or {}
    marks = {part: kept for part in ("labels", "annotations") if (kept := _wanted(meta.get(part) or {}))}
    template: Json = {"template": {"metadata": marks}}
    change = {"jobTemplate": {"spec": template}} if job else template
    return {**_head(workload), "spec": change} if marks else None


def _labelled(namespace: Json | None) -> Json | None:
    marks = _wanted((namespace or {"metadata": {}})["metadata"].get("labels") or {})
    if namespace is None or not marks:
        return None
    head = _head(namespace)
    return {**head, "metadata": {**head["metadata"], "labels": marks}}


def _wanted(marks: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in marks.items() if key in _KEYS}


def _manifest(manifest: Mapping[str, Any], namespace: str) -> Json:
    meta = {"namespace": namespace, **(manifest.get("metadata") or {})}
    return {**manifest, "metadata": meta}


def _head(obj: Json) -> Json:
    meta = {key: obj["metadata"][key] for key in ("name", "namespace") if key in obj["metadata"]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta}


def _clean(obj: Json) -> Json:
    """An object as somebody would write it: nothing of the API server's, and none of our marks."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in _OWN}
    for part in ("labels", "annotations"):
        marks = meta.pop(part, None) or {}
        kept = {key: value for key, value in marks.items() if key not in _MARKS and not key.startswith(f"{GROUP}/")}
        meta |= {part: kept} if kept else {}
    return {key: value for key, value in {**obj, "metadata": meta}.items() if key != "status"}
