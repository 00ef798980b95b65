"""Ports of Services: which container port they lead to, and what they say is spoken there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rollout.checks.adoption.surroundings import Surroundings
from rollout.plan.base import Json
from rollout.ports.mesh import Unit

_SPOKEN: Final = frozenset(
    {"tcp", "udp", "grpc", "grpc-web", "http", "http_proxy", "http2", "https", "tls", "mongo", "redis", "mysql"}
)
_OF_KUBERNETES: Final = {"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
_TCP_BY_NUMBER: Final = frozenset({25, 53, 3306, 27017})
_OPAQUE: Final = frozenset({"tcp", "mongo", "redis", "mysql", "udp"})

SPEAKS_FIRST: Final = {
    21: "ftp",
    22: "ssh",
    25: "smtp",
    110: "pop3",
    143: "imap",
    587: "smtp",
    3306: "mysql",
    4222: "nats",
}
"""Ports on which the server sends the first bytes, so that nothing can be told from the client's."""
NOT_HTTP: Final = {4444: "galera", 5432: "postgresql", 6379: "redis", 9300: "elasticsearch", 11211: "memcached"}
"""Ports on which the client speaks first, but no HTTP."""
_BY_NAME: Final = (*dict.fromkeys(SPEAKS_FIRST.values()), "mariadb")


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service that leads to a unit."""

    service: Json
    raw: Json
    container: int | None
    """The port in the pods; None for a name that no container has."""

    @property
    def where(self) -> str:
        """For messages: `Service/db port 3306`."""
        return f"Service/{self.service['metadata']['name']} port {self.raw['port']}"

    @property
    def declared(self) -> str | None:
        """The protocol that Istio takes it for; None: it has to guess from the first bytes.

        As `kube.ConvertProtocol` reads it: the transport, then appProtocol or else the name up to the first hyphen,
        then well-known numbers of the Service's port (not the container's).
        """
        if self.raw.get("protocol") == "UDP":
            return "udp"
        given: str | None = self.raw.get("appProtocol")
        said: str = (self.raw.get("name") or "") if given is None else _OF_KUBERNETES.get(given, given)
        name = said.lower()
        if name.startswith("grpc-web"):
            return "grpc-web"
        prefix = name.partition("-")[0]
        if prefix in _SPOKEN:
            return str(prefix)
        return "tcp" if self.raw["port"] in _TCP_BY_NUMBER else None

    @property
    def opaque(self) -> bool:
        """Declared as something into which Istio does not look."""
        return self.declared in _OPAQUE

    @property
    def speaks_first(self) -> str:
        """The server-first protocol that this seems to be, by number or name; empty for none."""
        return SPEAKS_FIRST.get(self.container or 0) or SPEAKS_FIRST.get(self.raw["port"]) or self._named()

    def _named(self) -> str:
        words = f"{self.raw.get('name') or ''}-{self.raw.get('appProtocol') or ''}".lower().split("-")
        return next((protocol for protocol in _BY_NAME if protocol in words), "")


def ports(surroundings: Surroundings, unit: Unit) -> Iterator[ServicePort]:
    """The ports of all Services that lead to a unit."""
    for service in surroundings.services(unit):
        for raw in service["spec"].get("ports") or ():
            yield ServicePort(service, raw, _container_port(unit, raw))


def numbered(unit: Unit) -> Iterator[tuple[str, Json]]:
    """The declared TCP ports of all containers, with the container's name."""
    for container in unit.containers:
        for port in container.get("ports") or ():
            if port.get("protocol", "TCP") == "TCP":
                yield container["name"], port


def _container_port(unit: Unit, raw: Json) -> int | None:
    target: Any = raw.get("targetPort") or raw["port"]
    if isinstance(target, int):
        return target
    return next((port["containerPort"] for _, port in numbered(unit) if port.get("name") == target), None)
