"""Google Chat by an incoming webhook: a message for each event, those of one run in one thread.

A message carries a request ID made of its own: by the documentation of `spaces.messages.create`, one that comes a
second time with the same ID makes no second message.  Limits of the vendor: one message a second for each space, 32,000
bytes for a message.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from rollout.adapters.channels.base import Plain, cut, post, with_query
from rollout.notify.message import place, standing, text, title
from rollout.ports.channel import Letter, Request

TEXT: Final = 4000
"""Characters: also of four bytes each they are under the limit."""
_SIGNS: Final = {"detail": "▫️", "info": "🔹", "action": "✋", "warning": "⚠️"}


class GoogleChat(Plain):
    """The channel `google-chat`."""

    certain = True

    def requests(self, letter: Letter) -> Sequence[Request]:
        """See `ports.channel.Channel.requests`."""
        query = {
            "requestId": str(uuid.uuid5(uuid.NAMESPACE_URL, letter.message.id)),
            "messageReplyOption": "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD",
        }
        body = {"text": said(letter), "thread": {"threadKey": letter.message.id.partition("/")[0]}}
        return (post(with_query(letter.address, urlencode(query)), body),)


def escape(value: str) -> str:
    """A text in which nothing is a mention or a link: both begin with a bracket, for which there is no escape."""
    return value.replace("<", "‹").replace(">", "›")


def said(letter: Letter) -> str:
    """An event as a text."""
    message = letter.message
    facts = [place(message), f"run {message.run}", f"{message.phase}, {standing(message)}", message.change, message.by]
    lines = [
        f"{_SIGNS[message.severity]} *{title(letter, escape)}*",
        text(letter, escape),
        " · ".join(escape(fact) for fact in facts if fact),
    ]
    if message.next:
        lines.append("```\n" + escape("\n".join(message.next)) + "\n```")
    return cut("\n".join(lines), TEXT)
