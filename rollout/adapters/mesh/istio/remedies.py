"""What to do about a workload, as commands and manifests that can be pasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from rollout.adapters.mesh.istio.controlplane import REVISION
from rollout.adapters.mesh.istio.injection import INJECT
from rollout.plan.base import Json
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    PEER_AUTHENTICATION,
    STATEFUL_SET,
    Ref,
)
from rollout.ports.mesh import ControlPlane, Unit

_PATCHED: Final = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, CRON_JOB)
OWN_LABELS: Final = ("pod-template-hash", "controller-revision-hash", "pod-template-generation", INJECT, REVISION)
"""Labels that say nothing about which workload a pod belongs to."""


def enrol(unit: Unit, planes: Sequence[ControlPlane]) -> str:
    """See `ports.mesh.Mesh.enrol`."""
    labels = {INJECT: "true", **revision(planes)}
    if unit.kind not in _PATCHED:
        shown = ", ".join(f'{key}: "{value}"' for key, value in labels.items())
        return f"make {unit} anew with the pod labels {shown}"
    template: dict[str, Any] = {"template": {"metadata": {"labels": labels}}}
    spec = {"jobTemplate": {"spec": template}} if unit.kind == CRON_JOB else template
    patch = orjson.dumps({"spec": spec}).decode()
    return f"kubectl patch {unit.kind.name.lower()} {unit.name} -n {unit.namespace} --type merge -p '{patch}'"


def revision(planes: Sequence[ControlPlane]) -> Mapping[str, str]:
    """The label that names a control plane, where there is no default one; a tag rather than a revision."""
    names = [name for plane in planes for name in (plane.revision, *plane.tags)]
    if not planes or "default" in names:
        return {}
    return {REVISION: (planes[-1].tags or (planes[-1].revision,))[0]}


def admit(unit: Unit, principals: Sequence[str]) -> Json:
    """See `ports.mesh.Mesh.admit`. Policies have principals without the scheme of their certificates."""
    labels = (unit.raw["spec"].get("selector") or {}).get("matchLabels") or _telling(unit)
    named = sorted({it.removeprefix("spiffe://") for it in principals})
    return {
        "apiVersion": AUTHORIZATION_POLICY.api_version,
        "kind": AUTHORIZATION_POLICY.name,
        "metadata": {"name": unit.name, "namespace": unit.namespace},
        "spec": {
            "selector": {"matchLabels": dict(labels)},
            "action": "ALLOW",
            "rules": [{"from": [{"source": {"principals": named}}]}],
        },
    }


def _telling(unit: Unit) -> dict[str, str]:
    return {key: value for key, value in unit.labels.items() if key not in OWN_LABELS}


def excuse(unit: Unit, ports: Sequence[int], narrow: Ref | None) -> str:
    """See `ports.mesh.Mesh.excuse`. Beside a policy that selects the workload already, a younger one does not count."""
    level = {str(port): {"mode": "PERMISSIVE"} for port in ports}
    if narrow is not None:
        patch = orjson.dumps({"spec": {"portLevelMtls": level}}).decode()
        return f"kubectl patch peerauthentication {narrow.name} -n {narrow.namespace} --type merge -p '{patch}'"
    manifest = {
        "apiVersion": PEER_AUTHENTICATION.api_version,
        "kind": PEER_AUTHENTICATION.name,
        "metadata": {"name": f"{unit.name}-plaintext", "namespace": unit.namespace},
        "spec": {
            "selector": {"matchLabels": _telling(unit)},
            "portLevelMtls": level,
        },
    }
    return f"echo '{orjson.dumps(manifest).decode()}' | kubectl apply -f -"
