"""Ports that need a look before STRICT: kept from the proxy, scraped in plaintext, or of a protocol that is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rollout.adapters.mesh.istio.proxies import CONTAINER
from rollout.plan.base import Json
from rollout.plan.kinds import ref_of
from rollout.ports.mesh import GuessedPort, Unit

_PROTOCOLS: Final = frozenset(
    {"tcp", "udp", "grpc", "grpc-web", "http", "http_proxy", "http2", "https", "tls", "mongo", "redis", "mysql"}
    | {"kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"}
)
"""What Istio understands as `appProtocol`, or before the dash of a port's name."""
_SPEAK_FIRST: Final = frozenset({21, 22, 110, 143, 587, 4444})
"""FTP, SSH, POP3, IMAP, SMTP, Galera. Istio itself takes 25, 53, 3306 and 27017 for TCP."""
_OWN: Final = frozenset({15020, 15090})
"""Where the proxy gives its metrics, and those of the application merged in: never behind mTLS."""


def bypassed(unit: Unit) -> Iterator[int]:
    """The inbound ports that the template keeps from the proxy."""
    for part in unit.annotations.get("traffic.sidecar.istio.io/excludeInboundPorts", "").split(","):
        if part.strip().isdecimal():
            yield int(part)


def scraped(unit: Unit) -> Iterator[int]:
    """The ports that `prometheus.io` annotations name; the injector points them at its own, unless told not to."""
    meshed = [pod for pod in unit.pods if any(it["name"] == CONTAINER for it in _containers(pod))]
    offered = [pod["metadata"].get("annotations") or {} for pod in meshed]
    if not meshed and unit.annotations.get("prometheus.istio.io/merge-metrics") == "false":
        offered = [unit.annotations]
    for notes in offered:
        port = notes.get("prometheus.io/port", "")
        if notes.get("prometheus.io/scrape") == "true" and port.isdecimal() and int(port) not in _OWN:
            yield int(port)


def _containers(pod: Json) -> Iterable[Json]:
    return (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])


def guessed(services: Iterable[Json]) -> Iterator[GuessedPort]:
    """Ports of servers that speak first, whose protocol nobody has declared."""
    for service in services:
        for index, port in enumerate(service["spec"].get("ports") or ()):
            if port["port"] in _SPEAK_FIRST and not _declared(port):
                yield GuessedPort(ref_of(service), index, port["port"])


def _declared(port: Json) -> bool:
    said = str(port.get("appProtocol") or port.get("name") or "").lower()
    return said in _PROTOCOLS or said.startswith("grpc-web") or said.partition("-")[0] in _PROTOCOLS
