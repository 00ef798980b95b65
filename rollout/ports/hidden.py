"""What must not be repeated: who refuses a request often quotes it, and what he says ends up in status and messages."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

import orjson

_SHORT: Final = 4
"""Characters: what is shorter is part of too many words."""
WORD: Final = 8
"""The same for what may be no secret at all: a part of a path, what stands in a plan for all to read."""


@dataclass(slots=True)
class Hidden:
    """Texts, most of them out of Secrets, that are struck out of what others say, however they spell them."""

    _forms: set[str] = field(default_factory=set)

    def add(self, value: str, *, least: int = _SHORT) -> None:
        """Hide a text of at least so many characters, and its words; of `Basic ...` also what it encodes."""
        words = value.split()
        for word in {value, *words, *(_decoded(words[1]) if len(words) > 1 and words[0].lower() == "basic" else ())}:
            if len(word) >= least:
                self._forms |= {it for it in _spelt(word) if len(it) >= least}

    def add_url(self, url: str, *, secret: bool) -> None:
        """Hide a URL that is a secret as a whole, its host included; of any other what looks like a key in it."""
        least = _SHORT if secret else WORD
        try:
            parts = urlsplit(url)
        except ValueError:  # what is no URL is not sent either
            parts = urlsplit("")
        user, _, host = parts.netloc.rpartition("@")
        for value in (*user.split(":"), *(value for _, value in parse_qsl(parts.query))):
            self.add(value, least=least)
        if secret:
            for value in (url, host, parts.path, parts.query, parts.fragment):
                self.add(value)
            for value in parts.path.split("/"):
                self.add(value, least=WORD)

    def struck(self, text: str) -> str:
        """The text with three stars for whatever is hidden; the longest first, or a part of it would show."""
        if not self._forms:
            return text
        found = "|".join(map(re.escape, sorted(self._forms, key=len, reverse=True)))
        return re.sub(found, "***", text, flags=re.IGNORECASE)

    def quoted(self, body: bytes, most: int) -> str:
        """So many characters, at most, of what a server says, as one line of text."""
        looked = body[: 64 * most].decode(errors="replace")
        text = self.struck(looked)
        if len(body) > 64 * most:  # at its end there may be the beginning of something hidden
            text = text[: -max(map(len, self._forms), default=1)]
        text = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
        return text if len(text) <= most else text[:most]


def _spelt(value: str) -> Iterator[str]:
    """A text as servers repeat it: as it is, and as it stands in URLs, JSON and pages."""
    yield from (value, unquote(value), quote(value), quote(value, safe=""), quote_plus(value), html.escape(value))
    written = orjson.dumps(value).decode()[1:-1]
    yield from (written, written.replace("/", "\\/"))
    yield from (base64.b64encode(value.encode()).decode(), base64.urlsafe_b64encode(value.encode()).decode())


def _decoded(word: str) -> tuple[str, ...]:
    """User and password of basic authentication."""
    try:
        said = base64.b64decode(word, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ()
    return said, said.partition(":")[2]
