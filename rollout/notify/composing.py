"""A channel made ready: its spec checked, its Secrets read, its letters sealed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from rollout.errors import Forbidden, InvalidInput, NotFound
from rollout.notify.happenings import REASONS
from rollout.plan.base import Json
from rollout.plan.channel import ChannelSpec
from rollout.plan.cron import zone_of
from rollout.plan.gate import SecretKey
from rollout.plan.kinds import SECRET, Ref
from rollout.plan.objects import NotificationChannel
from rollout.plan.parse import from_object
from rollout.ports.channel import Channel, Letter, Message
from rollout.ports.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Sealed:
    """A channel as it is stored, and what keeps it from being used."""

    spec: ChannelSpec
    problem: str = ""

    @classmethod
    def of(cls, found: Json, channels: Mapping[str, Channel], home: str) -> Self:
        """Read a stored NotificationChannel."""
        try:
            document = from_object({key: value for key, value in found.items() if key != "status"})
        except InvalidInput as error:
            return cls(ChannelSpec(type="unreadable"), str(error))
        assert isinstance(document, NotificationChannel), "it was asked for by its kind"
        wrong = next(problems(document.spec, channels, foreign=found["metadata"]["namespace"] != home), "")
        return cls(document.spec, wrong)


def problems(spec: ChannelSpec, channels: Mapping[str, Channel], *, foreign: bool) -> Iterator[str]:
    """What keeps a channel from being used; `foreign`: it is not in the controller's namespace."""
    if spec.type not in channels:
        yield f"there is no type {spec.type}; there are {', '.join(sorted(channels))}"
        return
    if lacking := lacks(spec, channels[spec.type]):
        yield lacking
    if spec.quiet_hours is not None:
        try:
            zone_of(spec.quiet_hours.time_zone)
        except InvalidInput as error:
            yield f"{error}; {error.hint}"
    for reason in unknown_reasons(spec):
        yield f"there is no reason {reason}"
    for name in spec.template.unknown:
        yield f"the template names ${{{name}}}, which there is not"
    if foreign and spec.events.namespaces:
        yield "only a channel in the controller's namespace tells of other namespaces; leave events.namespaces out"


def lacks(spec: ChannelSpec, channel: Channel) -> str:
    """Which fields a channel's type needs that are not there; empty when it has all."""
    given = set(spec.model_dump(by_alias=True, exclude_none=True))
    if any(fields <= given for fields in channel.needs):
        return ""
    return f"a channel of type {spec.type} needs {' or '.join(' and '.join(sorted(it)) for it in channel.needs)}"


def unknown_reasons(spec: ChannelSpec) -> list[str]:
    """Reasons that are asked for and that we never give."""
    return [reason for reason in spec.events.reasons if reason not in REASONS]


async def seal(cluster: Cluster, namespace: str, spec: ChannelSpec, message: Message) -> Letter:
    """A letter with what its channel's Secrets say.

    Raises:
        NotFound: a Secret or a key in it is not there.
        Forbidden: we may not read it.
    """

    async def read(key: SecretKey | None) -> str:
        return "" if key is None else await secret(cluster, namespace, key)

    return Letter(
        message,
        spec,
        address=spec.address or await read(spec.address_from),
        token=await read(spec.token),
        signature=await read(spec.signature),
    )


async def secret(cluster: Cluster, namespace: str, key: SecretKey) -> str:
    """The text under a key of a Secret, without the newline that editors leave at its end.

    Raises:
        NotFound: there is no such Secret, or no such key in it.
        Forbidden: we may not read it.
    """
    ref = Ref(SECRET, namespace, key.name)
    try:
        found = await cluster.get(ref)
    except Forbidden:
        hint = f"allow it: rollout install --secret {namespace}/{key.name}, with your other options"
        raise Forbidden(f"{ref} may not be read", hint=hint) from None
    if found is None:
        raise NotFound(f"{ref} does not exist")
    data: Mapping[str, Any] = found.get("data") or {}
    if key.key not in data:
        raise NotFound(f"{ref} has no key {key.key}")
    try:
        return base64.b64decode(data[key.key], validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        raise NotFound(f"{ref} has no text under {key.key}") from None
