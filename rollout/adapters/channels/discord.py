"""Discord by a webhook: an embed for each event.

Limits of the vendor: 30 messages a minute for each webhook, 256 characters in a title, 4096 in a description, 1024 in a
field, 6000 in all.  Nobody is mentioned, whatever a text says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rollout.adapters.channels.base import Plain, cut, post, with_query
from rollout.notify.message import facts, text, title
from rollout.plan.base import Json, rfc3339
from rollout.ports.channel import Letter, Request

_COLOURS: Final = {"detail": 0x99AAB5, "info": 0x3498DB, "action": 0xF1C40F, "warning": 0xE74C3C}


class Discord(Plain):
    """The channel `discord`."""

    pace = 2.0

    def requests(self, letter: Letter) -> Sequence[Request]:
        """See `ports.channel.Channel.requests`. The answer waits until the message is stored, or refused."""
        body = {"embeds": [embed(letter)], "allowed_mentions": {"parse": []}}
        return (post(with_query(letter.address, "wait=true"), body),)


def escape(value: str) -> str:
    """A text without Markdown."""
    return re.sub(r"([\\`*_~|>\[\]()])", r"\\\1", value)


def embed(letter: Letter) -> Json:
    """An event as an embed."""
    message = letter.message
    fields = [{"name": name, "value": cut(escape(said), 256), "inline": True} for name, said in facts(message).items()]
    if message.next:
        fields.append({"name": "next", "value": cut("\n".join(message.next), 1000), "inline": False})
    return {
        "title": cut(title(letter, escape), 256),
        "description": cut(text(letter, escape), 3000),
        "color": _COLOURS[message.severity],
        "fields": fields,
        "timestamp": rfc3339(message.at),
    }
