"""Fixes as commands that can be pasted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rollout.plan.base import Json
from rollout.plan.kinds import CRON_JOB, JOB, POD, Ref
from rollout.ports.mesh import Unit

FIXED: Final = (JOB, POD)
"""Kinds whose template cannot be changed."""


def patch(ref: Ref, change: Mapping[str, Any] | Sequence[Json]) -> str:
    """`kubectl patch`: a merge for a map (strategic for built-in kinds), a JSON patch for a list."""
    if not isinstance(change, Mapping):
        how = " --type=json"
    else:
        how = " --type=merge" if ref.kind.group.endswith(("istio.io", "meshrollout.dev")) else ""
    return f"kubectl patch {name(ref)}{_flag(ref)}{how} -p {quoted(change)}"


def template(unit: Unit, change: Json) -> str:
    """A patch of the pod template; where that cannot be changed, what to do instead."""
    if unit.kind in FIXED:
        return f"make {unit.kind}/{unit.name} anew with {json.dumps(change)} in its pods"
    spec = {"template": change}
    return patch(
        Ref(unit.kind, unit.namespace, unit.name),
        {"spec": {"jobTemplate": {"spec": spec}} if unit.kind == CRON_JOB else spec},
    )


def annotate(unit: Unit, notes: Mapping[str, str | None]) -> str:
    """A patch of annotations of the pods; None takes one away."""
    return template(unit, {"metadata": {"annotations": dict(notes)}})


def apply(obj: Json) -> str:
    """A new object."""
    return f"echo {quoted(obj)} | kubectl apply -f -"


def name(ref: Ref) -> str:
    """`deployments.apps/web`, as kubectl finds it whatever else is installed."""
    group = f".{ref.kind.group}" if ref.kind.group else ""
    return f"{ref.kind.plural}{group}/{ref.name}"


def quoted(value: Any) -> str:
    """JSON as one word of a shell."""
    return shlex.quote(json.dumps(value, separators=(",", ":")))


def _flag(ref: Ref) -> str:
    return f" -n {ref.namespace}" if ref.namespace else ""


def several(names: Sequence[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
