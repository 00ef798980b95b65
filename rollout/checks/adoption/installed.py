"""How Istio is installed, read from its injector's configuration, its Deployment and the nodes.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import yaml

from rollout.checks.adoption.meshes import REVISION, Adopted
from rollout.plan.base import Json

_TAG: Final = "istio.io/tag"
_NATIVE: Final = "ENABLE_NATIVE_SIDECARS"
_VERSION: Final = re.compile(r"^v?1\.([0-9]+)(?![0-9])")
_AUTO_SINCE: Final = 27
"""The minor version of Istio since which native sidecars are automatic."""
_STABLE_SINCE: Final = 33
"""The minor version of the kubelet from which Istio uses them."""


def revision_behind(configurations: Sequence[Json], wanted: str) -> str:
    """The revision that a tag points to; what is no tag is a revision. Empty for the default one."""
    for it in configurations:
        labels = it["metadata"].get("labels") or {}
        if labels.get(_TAG) == (wanted or "default") and labels.get(REVISION):
            wanted = labels[REVISION]
            break
    return "" if wanted == "default" else wanted


def default_revision(configurations: Sequence[Json]) -> str:
    """What pods must name to be taken in: nothing where there is a default revision, else the only one there is."""
    found = {value for it in configurations if (value := _marked(it))}
    return next(iter(found)) if len(found) == 1 and "default" not in found else ""


def _marked(configuration: Json) -> str:
    labels = configuration["metadata"].get("labels") or {}
    names = [hook["name"] for hook in configuration.get("webhooks") or ()]
    injects = any(name.endswith("sidecar-injector.istio.io") for name in names)
    return str(labels.get(_TAG) or labels.get(REVISION, "")) if injects else ""


def adopted(known: Adopted, injector: Json | None, mesh: Json | None, istiods: Sequence[Json], nodes: Any) -> Adopted:
    """What is known with what the ConfigMaps of the injector and of the mesh say; None for what could not be read.

    `istiods` are the Deployments of the control plane; `nodes` is None where nodes may not be listed.
    """
    found = replace(known, native_sidecars=_native(istiods, nodes), merges_metrics=_merges(mesh))
    values = json.loads((injector or {}).get("data", {}).get("values") or "null")
    if values is None:
        return found
    webhook, proxy = values.get("sidecarInjectorWebhook") or {}, (values.get("global") or {}).get("proxy") or {}
    resources = proxy.get("resources") or {}
    return replace(
        found,
        cni=_enabled(values.get("pilot"), "cni") or _enabled(values, "istio_cni"),
        rewrites_probes=bool(webhook.get("rewriteAppHTTPProbe", True)),
        never_inject=tuple(webhook.get("neverInjectSelector") or ()),
        requests=resources.get("requests") or {},
        limits=resources.get("limits") or {},
    )


def _enabled(values: Json | None, part: str) -> bool:
    return bool(((values or {}).get(part) or {}).get("enabled"))


def _merges(mesh: Json | None) -> bool:
    config = yaml.safe_load((mesh or {}).get("data", {}).get("mesh") or "{}")
    return bool(config.get("enablePrometheusMerge", True))


def _native(istiods: Sequence[Json], nodes: Sequence[Json] | None) -> bool | None:
    """As istiod decides: by its setting, and when that is automatic by the oldest kubelet."""
    settings = {_setting(it) for it in istiods}
    if len(settings) != 1 or None in settings:
        return None
    (setting,) = settings
    if setting != "auto":
        return setting == "true"
    kubelets = [_minor(node["status"]["nodeInfo"]["kubeletVersion"]) for node in nodes or ()]
    return None if not kubelets or None in kubelets else all((it or 0) >= _STABLE_SINCE for it in kubelets)


def _setting(istiod: Json) -> str | None:
    """`true`, `false` or `auto`; None where neither the environment nor the version tells."""
    for container in istiod["spec"]["template"]["spec"]["containers"]:
        for variable in container.get("env") or ():
            if variable["name"] == _NATIVE:
                return str(variable.get("value", "")).lower()
        minor = _minor(container["image"].rpartition(":")[2])
        if minor is not None:
            return "auto" if minor >= _AUTO_SINCE else "false"
    return None


def _minor(version: str) -> int | None:
    found = _VERSION.match(version)
    return int(found[1]) if found else None
