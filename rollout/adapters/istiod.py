"""How Istio itself is set up, for everything of ours that speaks to it: its home, and its mesh configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import yaml

from rollout.plan.kinds import CONFIGMAP
from rollout.ports.router import Objects

HOME: Final = "istio-system"
"""The namespace of the control plane, where nobody says another one."""
DEFAULT: Final = "default"
"""The revision that has no name."""


def mesh_config(revision: str = DEFAULT) -> str:
    """The name of the ConfigMap with a revision's `meshConfig`."""
    return "istio" if revision == DEFAULT else f"istio-{revision}"


def root_namespace(objects: Objects, home: str = HOME, revision: str = DEFAULT) -> str:
    """The namespace whose policies and rules hold for the whole mesh (`meshConfig.rootNamespace`)."""
    return str(settings(objects, mesh_config(revision), "mesh", home).get("rootNamespace") or home)


def settings(objects: Objects, name: str, key: str, home: str = "") -> Mapping[str, Any]:
    """One YAML document in a ConfigMap of `home` (or of any); empty when there is none, or none that can be read."""
    for obj in objects.get(CONFIGMAP, ()):
        if obj["metadata"]["name"] == name and home in ("", obj["metadata"].get("namespace")):
            return _parsed((obj.get("data") or {}).get(key, ""))
    return {}


@lru_cache(maxsize=16)
def _parsed(text: str) -> Mapping[str, Any]:
    """Hundreds of lines, which hardly ever change, are read at every turn of a run."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
