"""Slack by an incoming webhook: a message for each event, without threads.

Limits of the vendor: one message a second, 3000 characters in a section, 50 blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.adapters.channels.base import Plain, cut, post
from rollout.notify.message import place, standing, text, title
from rollout.plan.base import Json
from rollout.ports.channel import Letter, Message, Request

SECTION: Final = 3000
"""Characters of a section."""
SHORT: Final = 1000
"""Characters of the text that stands in for the blocks where those are not shown."""
SIGNS: Final = {"detail": "▫️", "info": "🔹", "action": "✋", "warning": "⚠️"}


class Slack(Plain):
    """The channel `slack`."""

    def requests(self, letter: Letter) -> Sequence[Request]:
        """See `ports.channel.Channel.requests`."""
        return (post(letter.address, {"text": headline(letter), "blocks": blocks(letter)}),)


def escape(value: str) -> str:
    """A text in which nothing is a mention or a link."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def headline(letter: Letter) -> str:
    """One line, for notifications."""
    return cut(f"{SIGNS[letter.message.severity]} {title(letter, escape)} — {escape(letter.message.text)}", SHORT)


def blocks(letter: Letter) -> list[Json]:
    """An event in blocks."""
    message = letter.message
    said = f"{SIGNS[message.severity]} *{title(letter, escape)}*\n{text(letter, escape)}"
    shown = [_section(said), _context(message)]
    if message.next:
        shown.insert(1, _section("```" + escape("\n".join(message.next)) + "```"))
    return shown


def summary(message: Message) -> list[Json]:
    """How a run stands, in blocks."""
    line = f"*{escape(message.plan)}*  {escape(message.change)}\n{escape(message.phase)}, {standing(message)}"
    return [_section(line), _context(message)]


def _section(said: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(said, SECTION)}}


def _context(message: Message) -> Json:
    facts = [place(message), f"run {message.run}", standing(message), message.change, message.by]
    said = " · ".join(escape(fact) for fact in facts if fact)
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut(said, SECTION)}]}
