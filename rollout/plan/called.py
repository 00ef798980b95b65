"""Hooks as they lie in a program: who is called, how, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator

from rollout.plan.canary import OnFailure
from rollout.plan.gate import SecretKey
from rollout.plan.hook import When

_METADATA: Final = ("metadata.google.internal", "metadata")
_AWS: Final = ip_network("fd00:ec2::/32")
"""Hosts, and the one network beside those of the link, where clouds give credentials."""


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
    """Whether a host of a URL is the machine's own, where clouds give credentials to machines: no hook calls it."""
    try:
        address = ip_address(host)
    except ValueError:
        return host in _METADATA
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_link_local or address in _AWS


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
