"""Stable must be able to restart: configuration that only it still uses, and that a GitOps tool may prune."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rollout.checks.subject import Checker, Subject
from rollout.errors import Forbidden
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CONFIGMAP, SECRET, Kind, Ref

_ARGO: Final = "argocd.argoproj.io/"
_ARGO_OPTIONS: Final = f"{_ARGO}sync-options"
_FLUX: Final = "kustomize.toolkit.fluxcd.io/"
_MARKS: Final = (_ARGO, _FLUX, "helm.toolkit.fluxcd.io/")


async def prunable(subject: Subject) -> Sequence[Finding]:
    """What only stable's template uses, and a GitOps tool made and may remove."""
    if subject.deployment is None or subject.stable is None:
        return []
    wanted = set(used(subject.deployment["spec"]["template"]["spec"]))
    only_stable = sorted(set(used(subject.stable["spec"]["template"]["spec"])) - wanted)
    found: list[Finding] = []
    for kind, name in only_stable:
        found += await _look(subject, kind, name)
    return found


async def _look(subject: Subject, kind: Kind, name: str) -> list[Finding]:
    where = f"{kind.name}/{name}"
    try:
        obj = await subject.world.cluster.get(Ref(kind, subject.namespace, name))
    except Forbidden:
        text = f"{where} is used by stable only, and you may not look whether a GitOps tool may prune it"
        return [Finding("RO230", Level.WARNING, text, where=where, fix=f"allow get on {kind.plural}")]
    if obj is None:
        text = f"{where} is gone, and stable still uses it: a stable pod that restarts cannot start"
        return [Finding("RO230", Level.ERROR, text, where=where, fix="restore it before a new version is tried")]
    tool = managed_by(obj)
    if not tool or protected(obj):
        return []
    text = f"{where} is used by stable only, and {tool} may prune it while the new version is held"
    fix = f"annotate it {_ARGO_OPTIONS}: Prune=false" if tool == "Argo CD" else f"annotate it {_FLUX}prune: disabled"
    return [Finding("RO230", Level.ERROR, text, where=where, fix=f"{fix}, and keep it in Git until the run has ended")]


def used(pod: Json) -> Iterator[tuple[Kind, str]]:
    """The ConfigMaps and Secrets that a pod spec cannot start without."""
    for volume in pod.get("volumes", ()):
        yield from _of_source(volume, "name", "secretName")
        for source in (volume.get("projected") or {}).get("sources", ()):
            yield from _of_source(source, "name", "name")
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        for source in container.get("envFrom", ()):
            yield from _named(source.get("configMapRef"), CONFIGMAP)
            yield from _named(source.get("secretRef"), SECRET)
        for variable in container.get("env", ()):
            source = variable.get("valueFrom") or {}
            yield from _named(source.get("configMapKeyRef"), CONFIGMAP)
            yield from _named(source.get("secretKeyRef"), SECRET)


def _of_source(source: Json, config_key: str, secret_key: str) -> Iterator[tuple[Kind, str]]:
    yield from _named(source.get("configMap"), CONFIGMAP, config_key)
    yield from _named(source.get("secret"), SECRET, secret_key)


def _named(reference: dict[str, Any] | None, kind: Kind, key: str = "name") -> Iterator[tuple[Kind, str]]:
    if reference and reference.get(key) and not reference.get("optional"):
        yield kind, reference[key]


def managed_by(obj: Json) -> str:
    """The GitOps tool that made an object; empty for none."""
    meta = obj["metadata"]
    keys = [*(meta.get("labels") or {}), *(meta.get("annotations") or {})]
    if any(key.startswith(_ARGO) for key in keys):
        return "Argo CD"
    return "Flux" if any(key.startswith(_MARKS) for key in keys) else ""


def protected(obj: Json) -> bool:
    """Whether its owner told the tool to leave it."""
    notes = obj["metadata"].get("annotations") or {}
    options = {option.strip() for option in notes.get(_ARGO_OPTIONS, "").split(",")}
    labels = obj["metadata"].get("labels") or {}
    flux = notes.get(f"{_FLUX}prune") or labels.get(f"{_FLUX}prune")
    return "Prune=false" in options or flux == "disabled"


CHECKERS: Final = (Checker("target-config", "target", "stable's configuration stays", prunable),)
