"""Hooks as they lie in a program: who is called, how, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator

from rollout.plan.canary import OnFailure
from rollout.plan.gate import SecretKey
from rollout.plan.hook import When

_METADATA: Final = frozenset({"metadata.google.internal", "metadata"})
_CLOUDS: Final = tuple(map(ip_network, ("fd00:ec2::/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")))
"""Hosts, and the networks beside those of the link, where clouds give credentials."""
_NAT64: Final = ip_network("64:ff9b::/96")
_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Header:
    """A header of a request: its value, or where that is kept."""

    name: str
    value: str = ""
    value_from: SecretKey | None = None


def host_of(url: str) -> str:
    """The host that a URL names; empty where it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def of_the_link(host: str) -> bool:
    """Whether a host or an address is the machine's own, where clouds give credentials to machines: never called."""
    address = address_of(host)
    if address is None:
        return host.rstrip(".").lower() in _METADATA
    return address.is_link_local or any(address in network for network in _CLOUDS)


def of_the_engine(host: str) -> bool:
    """Whether a host or an address is whoever calls it: his own pod, or somebody's terminal."""
    address = address_of(host)
    if address is None:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def address_of(host: str) -> _Address | None:
    """The address that a host is, also one of the old kind in one of the new; None when it is a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A POST. The URL, or where that is kept."""

    url: str = ""
    url_from: SecretKey | None = None
    headers: tuple[Header, ...] = ()
    payload: Literal["rollout", "flagger"] = "rollout"
    metadata: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["http"] = "http"


@dataclass(frozen=True, slots=True)
class JobCall:
    """A Job with this spec."""

    spec: Mapping[str, Any]
    kind: Literal["job"] = "job"


@dataclass(frozen=True, slots=True)
class Hook:
    """Somebody who is called. See `plan.hook.Hook` for what each `when` means."""

    name: str
    when: When
    how: Annotated[HttpCall | JobCall, Discriminator("kind")]
    timeout: float
    retries: int = 0
    every: float = 30.0
    failures: int = 1
    on_failure: OnFailure | Literal["ignore"] = "ignore"
