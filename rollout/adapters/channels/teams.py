"""Microsoft Teams by a workflow («When a Teams webhook request is received»): an Adaptive Card for each event.

Limits of the vendor: 28 KB for a message, four requests a second.  A workflow answers 202 before it posts, so what it
then does with the card nobody hears.  (The older connectors, which took other cards, are gone.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from rollout.adapters.channels.base import Plain, cut, post
from rollout.errors import Unavailable
from rollout.notify.message import facts, text, title
from rollout.plan.base import Json
from rollout.ports.channel import Answer, Letter, Request

TEXT: Final = 4000
"""Characters of one text; in bytes, and with everything around it, still under the limit."""
_COLOURS: Final = {"detail": "Default", "info": "Good", "action": "Accent", "warning": "Attention"}
_THROTTLED: Final = b"HTTP error 429"
"""In a body with a good status: the gateway was let in, and sent away further on."""


class Teams(Plain):
    """The channel `teams`."""

    def requests(self, letter: Letter) -> Sequence[Request]:
        """See `ports.channel.Channel.requests`."""
        attachment = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": card(letter),
        }
        return (post(letter.address, {"type": "message", "attachments": [attachment]}),)

    def read(self, answer: Answer) -> str:
        """See `ports.channel.Channel.read`."""
        if _THROTTLED in answer.body:
            raise Unavailable("HTTP 429, told in a good answer", after=5.0)
        return ""


def escape(value: str) -> str:
    """A text without Markdown."""
    return re.sub(r"([\\`*_~\[\]()<>])", r"\\\1", value)


def card(letter: Letter) -> Json:
    """An event as an Adaptive Card."""
    message = letter.message
    told = [{"title": name.capitalize(), "value": cut(escape(said), 500)} for name, said in facts(message).items()]
    body: list[Json] = [
        _text(title(letter, escape), weight="Bolder", size="Medium", color=_COLOURS[message.severity]),
        _text(text(letter, escape)),
        {"type": "FactSet", "facts": told},
        *(_text(command, fontType="Monospace") for command in message.next),
    ]
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }


def _text(said: str, **more: Any) -> Json:
    return {"type": "TextBlock", "text": cut(said, TEXT), "wrap": True, **more}
