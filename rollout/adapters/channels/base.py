"""What most vendors have in common: a JSON body to a URL, no threads, and nobody to ask afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from rollout.ports.channel import Answer, Letter, Request

JSON: Final = "application/json; charset=utf-8"


class Plain:
    """The parts of the port `Channel` that are the same for most; `requests` is each one's own."""

    needs: Sequence[frozenset[str]] = (frozenset({"addressFrom"}),)
    pace = 1.0
    certain = False
    threaded = False

    def read(self, answer: Answer) -> str:
        """See `ports.channel.Channel.read`: a good status is all there is to know."""
        return ""

    def question(self, letter: Letter) -> Request | None:
        """See `ports.channel.Channel.question`: there is nobody to ask."""
        return None

    def found(self, letter: Letter, answer: Answer) -> str | None:
        """See `ports.channel.Channel.found`: it is never asked."""
        return None


def post(url: str, body: Any, headers: Mapping[str, str] | None = None, *, bearer: str = "") -> Request:
    """A JSON body to a URL."""
    every = {"Content-Type": JSON, "User-Agent": "rollout"} | dict(headers or {})
    if bearer:
        every["Authorization"] = f"Bearer {bearer}"
    return Request(url, orjson.dumps(body), every)


def cut(text: str, most: int) -> str:
    """A text of at most so many characters, with a mark where something is missing."""
    return text if len(text) <= most else text[: most - 1] + "…"


def with_query(url: str, query: str) -> str:
    """A URL with one more part in its query; what it had stays."""
    return f"{url}{'&' if '?' in url else '?'}{query}"
