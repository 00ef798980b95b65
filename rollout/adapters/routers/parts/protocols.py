"""What a mesh takes a Service's port for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from rollout.adapters.routers.parts.selected import service_of
from rollout.plan.base import Json
from rollout.plan.program import Backends
from rollout.ports.router import Objects

Protocol = Literal["http", "tls", "tcp", "udp", "any"]

_HTTP: Final = frozenset({"http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"})
_TLS: Final = frozenset({"https", "tls", "kubernetes.io/wss"})
_TCP: Final = frozenset({"tcp", "mongo", "mysql", "redis"})


def protocol(port: Mapping[str, Any]) -> Protocol:
    """By `appProtocol`, else by the name's first part; `any` is sniffed."""
    if port.get("protocol") == "UDP":
        return "udp"
    name = str(port.get("name") or "")
    said = str(port.get("appProtocol") or "").lower() or (
        "grpc-web" if name.startswith("grpc-web") else name.split("-")[0]
    )
    if said in _HTTP:
        return "http"
    if said in _TLS:
        return "tls"
    return "tcp" if said in _TCP else "any"


def ports_of(backends: Backends, objects: Objects) -> list[Json]:
    """The Service's ports."""
    service = service_of(backends, objects)
    return list((service or {"spec": {}})["spec"].get("ports") or ())
