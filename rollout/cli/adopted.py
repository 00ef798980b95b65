"""What Git should hold of an adoption: the labels of workloads and namespace, the modes, and what was made.

While a run is under way that is what it has written so far, also where somebody has put back what was there before:
just that is what its owner still has to write.  What a later step withdraws is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from rollout.checks.adoption.meshes import WANTED
from rollout.cli.session import Session
from rollout.controller.view import RunView
from rollout.errors import Unsupported
from rollout.observe.adoption import mesh_of
from rollout.observe.units import READS
from rollout.plan.base import GROUP, PLAN_LABEL, Json, label_value
from rollout.plan.kinds import AUTHORIZATION_POLICY, CRON_JOB, NAMESPACE, PEER_AUTHENTICATION, POD, Ref, kind_of
from rollout.plan.program import Apply, Enrol, Label, Program, SetMode, Withdraw
from rollout.plan.run import Entry, Phase

_KEYS: Final = frozenset(mark.key for mark in WANTED)
_OWN: Final = ("creationTimestamp", "generation", "managedFields", "ownerReferences", "resourceVersion", "uid")
_MARKS: Final = ("kubectl.kubernetes.io/last-applied-configuration", "app.kubernetes.io/managed-by")
_MODES: Final = ("mtls", "portLevelMtls")


async def documents(session: Session, view: RunView) -> list[Json]:
    """Patches and manifests, one for each object; of what is not there any more, nothing.

    Raises:
        Unsupported: the mesh's driver is not installed.
    """
    passing = _passing(view.spec.program)
    lines = [it for it in view.state.journal if it.kind == "mesh" and it.step not in passing]
    found = [await _marked(session, view), await _policies(session, view), _manifests(view, passing)]
    return _as_one([*(it for part in found for it in part), *_written(session, view, lines)])


def text(found: Iterable[Json]) -> str:
    """As one YAML text."""
    return "---\n".join(yaml.safe_dump(it, sort_keys=False, allow_unicode=True) for it in found)


def _passing(program: Program) -> frozenset[int]:
    """The steps that a later one withdraws."""
    names = {it.step for step in program.steps for it in step.instructions if isinstance(it, Withdraw)}
    return frozenset(index for index, step in enumerate(program.steps) if step.name in names)


async def _marked(session: Session, view: RunView) -> list[Json]:
    """The labels that workloads and namespace have."""
    cluster, found = session.world.cluster, list[Json | None]()
    for it in (it for step in view.spec.program.steps for it in step.instructions):
        if isinstance(it, Enrol):
            kind = next(kind for kind in READS if kind.name == it.unit.kind)
            found.append(_enrolled(await cluster.get(Ref(kind, view.namespace, it.unit.name))))
        elif isinstance(it, Label):
            found.append(_labelled(await cluster.get(Ref(NAMESPACE, "", view.namespace))))
    return [it for it in found if it]


async def _policies(session: Session, view: RunView) -> list[Json]:
    """What the plan's runs made and left; and, when all is reached, the modes in what others keep."""
    program, mine = view.spec.program, {PLAN_LABEL: label_value(view.spec.plan)}
    passing, found = _passing(program), list[Json]()
    gone = {(it.object_kind, it.name) for it in view.state.journal if it.step in passing}
    moded = any(isinstance(it, SetMode) for step in program.steps for it in step.instructions)
    for kind in (PEER_AUTHENTICATION, AUTHORIZATION_POLICY):
        try:
            every = await session.world.cluster.list(kind, view.namespace)
        except Unsupported:
            continue
        for obj in every:
            if mine.items() <= (obj["metadata"].get("labels") or {}).items():
                found += [] if (obj["kind"], obj["metadata"]["name"]) in gone else [_clean(obj)]
            elif kind == PEER_AUTHENTICATION and moded and view.state.phase is Phase.SUCCEEDED:
                found.append({**_head(obj), "spec": {key: obj["spec"][key] for key in _MODES if key in obj["spec"]}})
    return found


def _manifests(view: RunView, passing: frozenset[int]) -> Iterator[Json]:
    """The plan's own, as far as they are there."""
    there, everything = {it.step for it in view.state.journal}, view.state.phase is Phase.SUCCEEDED
    for index, step in enumerate(view.spec.program.steps):
        if index not in passing and (everything or index in there):
            for it in step.instructions:
                if isinstance(it, Apply):
                    meta = {"namespace": view.namespace, **(it.manifest.get("metadata") or {})}
                    yield {**it.manifest, "metadata": meta}


def _written(session: Session, view: RunView, lines: Iterable[Entry]) -> Iterator[Json]:
    """The fields that were written to what others keep, whatever these hold now."""
    adoption = view.spec.program.adoption
    assert adoption is not None, "only runs of adoptions are handed over here"
    for it in lines:
        fields = mesh_of(session.world, adoption).wrote(it)
        if fields and it.object_kind != POD.name:
            space = {"namespace": it.namespace} if it.namespace else {}
            head = {"apiVersion": it.api_version, "kind": it.object_kind, "metadata": {"name": it.name, **space}}
            yield _over(head, fields)


def _as_one(found: Iterable[Json]) -> list[Json]:
    """Each object once; later fields count."""
    by_name: dict[tuple[str, str], Json] = {}
    for it in found:
        key = it["kind"], it["metadata"]["name"]
        by_name[key] = _over(by_name[key], it) if key in by_name else it
    return list(by_name.values())


def _over(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """One map over another."""
    result = dict(old)
    for key, value in new.items():
        below = result.get(key)
        result[key] = _over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


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
