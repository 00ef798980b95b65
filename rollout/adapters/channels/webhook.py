"""Any receiver of webhooks: CloudEvents 1.0 in structured mode, signed as the Standard Webhooks specification says.

A receiver knows an event by `source` and `id`, as CloudEvents says, and by `webhook-id`; one that comes twice is the
same one.  It verifies `webhook-signature` over `{webhook-id}.{webhook-timestamp}.{body}` and refuses old timestamps.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

import orjson

from rollout.adapters.channels.base import Plain
from rollout.plan.base import GROUP, Json, rfc3339
from rollout.plan.kinds import plan_kind
from rollout.ports.channel import Letter, Message, Request

_TYPE = f"{'.'.join(reversed(GROUP.split('.')))}.run.{{}}.v1"
_KEY = "whsec_"
"""In front of a key that is written in base64."""


class Webhook(Plain):
    """The channel `webhook`."""

    needs = (frozenset({"address"}), frozenset({"addressFrom"}))
    pace = 0.0
    certain = True

    def requests(self, letter: Letter) -> Sequence[Request]:
        """See `ports.channel.Channel.requests`."""
        body = orjson.dumps(cloud_event(letter.message))
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8", "User-Agent": "rollout"}
        if letter.token:
            headers["Authorization"] = f"Bearer {letter.token}"
        if letter.signature:
            headers |= signed(letter.message.id, letter.now, body, letter.signature)
        return (Request(letter.address, body, headers),)


def cloud_event(message: Message) -> Json:
    """An event in the format of CloudEvents."""
    kind = plan_kind(message.kind).plural
    cluster = f"/clusters/{message.cluster}" if message.cluster else ""
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": f"{cluster}/namespaces/{message.namespace}/{kind}/{message.plan}",
        "type": _TYPE.format(message.reason.lower()),
        "subject": message.run,
        "time": rfc3339(message.at),
        "datacontenttype": "application/json",
        "data": {
            "reason": message.reason,
            **({"cause": message.cause} if message.cause else {}),
            "message": message.text,
            "severity": message.severity,
            "plan": {"kind": message.kind, "namespace": message.namespace, "name": message.plan},
            "run": {
                "name": message.run,
                "phase": message.phase,
                "step": message.step,
                "steps": message.steps,
                **({} if message.weight is None else {"weight": message.weight}),
                "startedBy": message.by,
                "images": dict(message.images),
                "change": message.change,
            },
            "leftOut": message.left_out,
            "next": list(message.next),
        },
    }


def signed(identity: str, now: float, body: bytes, key: str) -> dict[str, str]:
    """The headers that prove who sent a body, and when."""
    moment = str(int(now))
    mac = hmac.new(_bytes(key), f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": identity, "webhook-timestamp": moment, "webhook-signature": signature}


def _bytes(key: str) -> bytes:
    if key.startswith(_KEY):
        try:
            return base64.b64decode(key.removeprefix(_KEY), validate=True)
        except binascii.Error:
            pass
    return key.encode()
