"""The control plane: its revisions, their tags, and what its injector leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollout.adapters.istiod import DEFAULT, settings
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, MUTATING_WEBHOOK, ref_of
from rollout.ports.mesh import ControlPlane
from rollout.ports.router import Objects

REVISION: Final = "istio.io/rev"
TAG: Final = "istio.io/tag"
_INJECTOR: Final = "sidecar-injector.istio.io"
_SETTINGS: Final = "istio-sidecar-injector"


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook that injects: which pods it takes, and for which revision."""

    revision: str
    tag: str
    namespaces: Mapping[str, Any]
    """Selects namespaces."""
    pods: Mapping[str, Any]
    """Selects pods."""


@dataclass(frozen=True, slots=True)
class Injector:
    """What a revision's injector does with the pods that its webhooks take."""

    enabled: bool = True
    """Whether a pod that does not ask is injected too."""
    never: tuple[Mapping[str, Any], ...] = ()
    always: tuple[Mapping[str, Any], ...] = ()


def planes(objects: Objects) -> tuple[ControlPlane, ...]:
    """The istiod Deployments, by revision."""
    hooks = hooks_in(objects) or ()
    return tuple(sorted((_plane(obj, hooks) for obj in _istiods(objects)), key=lambda it: (it.revision, it.ref)))


def _istiods(objects: Objects) -> Iterator[Json]:
    for obj in objects.get(DEPLOYMENT, ()):
        if (obj["metadata"].get("labels") or {}).get("app") == "istiod":
            yield obj


def _plane(obj: Json, hooks: Iterable[Hook]) -> ControlPlane:
    revision = obj["metadata"]["labels"].get(REVISION, DEFAULT)
    tags = {hook.tag for hook in hooks if hook.tag and hook.revision == revision}
    image = str(obj["spec"]["template"]["spec"]["containers"][0].get("image", ""))
    name, _, version = image.partition("@")[0].rpartition(":")
    ready = bool((obj.get("status") or {}).get("readyReplicas"))
    # a colon before a slash is a port of the registry
    return ControlPlane(
        revision, ref_of(obj), version if name and "/" not in version else "", ready, tuple(sorted(tags))
    )


def hooks_in(objects: Objects) -> tuple[Hook, ...] | None:
    """The webhooks that inject; None when they may not be read."""
    if MUTATING_WEBHOOK not in objects:
        return None
    return tuple(_hooks(objects[MUTATING_WEBHOOK]))


def _hooks(configurations: Iterable[Json]) -> Iterator[Hook]:
    for obj in configurations:
        labels = obj["metadata"].get("labels") or {}
        for webhook in obj.get("webhooks") or ():
            if webhook["name"].endswith(_INJECTOR):
                yield Hook(
                    labels.get(REVISION, DEFAULT),
                    labels.get(TAG, ""),
                    webhook.get("namespaceSelector") or {},
                    webhook.get("objectSelector") or {},
                )


def injector(objects: Objects, revision: str) -> Injector:
    """The injector's settings; Istio's own defaults where its ConfigMap cannot be read."""
    name = _SETTINGS if revision == DEFAULT else f"{_SETTINGS}-{revision}"
    its = settings(objects, name, "config")
    return Injector(
        its.get("policy", "enabled") == "enabled",
        tuple(it for it in its.get("neverInjectSelector") or () if it),
        tuple(it for it in its.get("alwaysInjectSelector") or () if it),
    )
