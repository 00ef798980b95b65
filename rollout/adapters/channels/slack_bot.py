"""Slack by a bot: one message for each run, kept up to date, and what happens below it in its thread.

The bot needs the scope `chat:write`, and is invited into the channel.  With `channels:history` (or `groups:history`) it
can look whether a message has arrived: each carries its id as metadata.  Approvals and failures also appear in the
channel.  Limits of the vendor: one message a second for each channel, 50 updates a minute.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from rollout.adapters.channels.base import Plain, cut, post
from rollout.adapters.channels.slack import SHORT, blocks, escape, headline, summary
from rollout.errors import Forbidden, OutcomeUnknown, Rejected, Unavailable, Unsupported
from rollout.notify.message import standing
from rollout.plan.base import Json
from rollout.ports.channel import Answer, Letter, Message, Request, thing

API: Final = "https://slack.com/api"
_EVENT: Final = "rollout_event"
_LATER: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded", "service_unavailable"})
_PERHAPS: Final = frozenset({"internal_error", "fatal_error", "request_timeout"})
_MESSAGE: Final = frozenset(
    {
        *("msg_too_long", "msg_blocks_too_long", "no_text", "invalid_blocks", "invalid_blocks_format"),
        *("message_not_found", "cant_update_message", "edit_window_closed", "metadata_too_large"),
        *("invalid_metadata_format", "invalid_metadata_schema", "too_many_attachments"),
    }
)
"""Errors about one message; all others are about the bot, its token or the channel."""
_EARLIER: Final = 120.0
"""Seconds before an event from which on its message is looked for: clocks differ."""


class SlackBot(Plain):
    """The channel `slack-bot`."""

    needs = (frozenset({"token", "channel"}),)
    pace = 1.2
    threaded = True

    def requests(self, letter: Letter) -> Sequence[Request]:
        """See `ports.channel.Channel.requests`."""
        message = letter.message
        if letter.opens:
            parent = {"channel": letter.spec.channel, "text": _line(message), "blocks": summary(message)}
            return (_call(letter, "chat.postMessage", parent | _quietly(letter)),)
        channel, _, moment = letter.thread.partition(":")
        parent = {"channel": channel, "ts": moment, "text": _line(message), "blocks": summary(message)}
        reply = {
            "channel": channel,
            "thread_ts": moment,
            "reply_broadcast": message.severity in ("action", "warning"),
            "text": headline(letter),
            "blocks": blocks(letter),
        }
        return (_call(letter, "chat.update", parent), _call(letter, "chat.postMessage", reply | _quietly(letter)))

    def read(self, answer: Answer) -> str:
        """See `ports.channel.Channel.read`. Slack answers 200, and says in the body what was wrong."""
        said = thing(answer.body)
        if said.get("ok") is True:
            return f"{said.get('channel', '')}:{said.get('ts', '')}"
        error = _word(said.get("error"))
        if error in _LATER:
            raise Unavailable(f"Slack says {error}")
        if error in _PERHAPS or not error:
            raise OutcomeUnknown(f"Slack says {error or 'nothing that can be read'}")
        if error in _MESSAGE:
            raise Rejected(f"Slack says {error}")
        raise Forbidden(f"Slack says {error}", hint="look at the bot's token and scopes, and invite it to the channel")

    def question(self, letter: Letter) -> Request | None:
        """See `ports.channel.Channel.question`."""
        channel, _, moment = letter.thread.partition(":")
        asked = {"include_all_metadata": "true", "limit": "999"}
        if letter.opens:
            oldest = f"{letter.message.at - _EARLIER:.6f}"
            method, asked = "conversations.history", asked | {"channel": letter.spec.channel or "", "oldest": oldest}
        else:
            method, asked = "conversations.replies", asked | {"channel": channel, "ts": moment}
        return Request(f"{_base(letter)}/{method}?{urlencode(asked)}", headers=_bearer(letter), method="GET")

    def found(self, letter: Letter, answer: Answer) -> str | None:
        """See `ports.channel.Channel.found`."""
        try:
            self.read(answer)
        except Forbidden as error:  # without the scope to read nobody can tell
            raise Unsupported(str(error)) from None
        said = thing(answer.body)
        for sent in said.get("messages") or ():
            if _identity_of(sent) == _identity(letter):
                return f"{letter.spec.channel}:{sent.get('ts', '')}" if letter.opens else ""
        return None


def _call(letter: Letter, method: str, body: Json) -> Request:
    return post(f"{_base(letter)}/{method}", body, bearer=letter.token)


def _base(letter: Letter) -> str:
    return (letter.address or API).rstrip("/")


def _bearer(letter: Letter) -> dict[str, str]:
    return {"Authorization": f"Bearer {letter.token}", "User-Agent": "rollout"}


def _line(message: Message) -> str:
    return cut(escape(f"{message.plan} {message.change}: {message.phase}, {standing(message)}"), SHORT)


def _quietly(letter: Letter) -> Json:
    """Its id, by which it is found again; and no previews of links."""
    metadata = {"event_type": _EVENT, "event_payload": {"id": _identity(letter)}}
    return {"metadata": metadata, "unfurl_links": False, "unfurl_media": False}


def _identity(letter: Letter) -> str:
    return f"{letter.message.id.partition('/')[0]}/0" if letter.opens else letter.message.id


def _identity_of(sent: Any) -> str:
    metadata = sent.get("metadata") if isinstance(sent, dict) else None
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    return str(payload.get("id", "")) if isinstance(payload, dict) else ""


def _word(said: Any) -> str:
    """An error code, and nothing that only looks like one."""
    return said if isinstance(said, str) and re.fullmatch(r"[a-z_]{1,48}", said) else ""
