"""Who carries the traffic of a pod, as the pod itself tells."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from rollout.plan.base import Json
from rollout.ports.mesh import Carrier, Proxy, Unit

CONTAINER: Final = "istio-proxy"
_STATUS: Final = "sidecar.istio.io/status"
_REVISION: Final = "istio.io/rev"
_REDIRECTION: Final = "ambient.istio.io/redirection"
_ROUTERS: Final = ("router", "waypoint")
"""What a proxy is told to be, when it is not a sidecar."""


def proxies(unit: Unit) -> tuple[Proxy, ...]:
    """One for each pod that is not on its way out."""
    return tuple(_proxy(pod) for pod in unit.pods if "deletionTimestamp" not in pod["metadata"])


def _proxy(pod: Json) -> Proxy:
    name, spec, status = pod["metadata"]["name"], pod["spec"], pod.get("status") or {}
    if (container := _named(spec.get("containers"))) is not None:
        carrier = Carrier.GATEWAY if _routes(container) else Carrier.CLASSIC
        return Proxy(name, carrier, _ready(status.get("containerStatuses")), _revision(pod))
    native = _named(spec.get("initContainers"))
    if native is not None and native.get("restartPolicy") == "Always":
        return Proxy(name, Carrier.NATIVE, _ready(status.get("initContainerStatuses")), _revision(pod))
    if (pod["metadata"].get("annotations") or {}).get(_REDIRECTION) == "enabled":
        return Proxy(name, Carrier.AMBIENT, ready=True)
    return Proxy(name, Carrier.NONE)


def _named(containers: Iterable[Json] | None) -> Json | None:
    return next((it for it in containers or () if it["name"] == CONTAINER), None)


def _ready(statuses: Iterable[Json] | None) -> bool:
    found = _named(statuses)
    return found is not None and bool(found.get("ready"))


def _routes(container: Json) -> bool:
    arguments: list[str] = container.get("args") or []
    return any(word in arguments for word in _ROUTERS)


def _revision(pod: Json) -> str:
    """The injector writes it down; a label may name a tag instead."""
    notes = pod["metadata"].get("annotations") or {}
    try:
        status: Any = json.loads(notes.get(_STATUS, ""))
    except ValueError:
        status = None
    written = status.get("revision") if isinstance(status, dict) else None
    return str(written or notes.get(_REVISION) or "")
