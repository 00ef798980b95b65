"""A channel: how one vendor is told something.  A channel is sans-I/O: a letter in, requests out, answers read.

It never decides *whether*, *when* or *how often* something is told.  Adding one is one module and one entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from rollout.plan.base import Json
from rollout.plan.channel import ChannelSpec, Severity


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong earlier in a run, and until when."""

    reason: str
    at: float
    over: bool
    """Whether the event that is told ends it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event of one run, as facts. Holds no secret, and no markup of any vendor."""

    id: str
    """Unique for ever: the run's UID and the number of the event in it."""
    at: float
    """Seconds since the epoch."""
    kind: str
    namespace: str
    plan: str
    run: str
    reason: str
    what: str
    """The reason in words: `gate failed`."""
    text: str
    """The sentence of the event."""
    severity: Severity
    phase: str
    """How the run stands now, which may be later than the event."""
    step: int
    """Counted from 1."""
    steps: int
    weight: float | None
    """Percent; None for an adoption."""
    change: str = ""
    """`web:1.4.2 → web:1.5.0`."""
    cause: str = ""
    """Of an end: the reason why the run went home."""
    images: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    cluster: str = ""
    next: tuple[str, ...] = ()
    """Commands that somebody who reads this may want."""
    left_out: int = 0
    """So many events of the run before this one were not told."""
    troubles: tuple[Trouble, ...] = ()
    """What was wrong in the run up to now, this event included."""


Escape = Callable[[str], str]
"""Makes a text harmless in a vendor's markup: nobody is called by the name of an image."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message for one channel, with all that it takes to send it."""

    message: Message
    spec: ChannelSpec
    address: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)
    thread: str = ""
    """What `thread` said of the letter that opened the run's thread."""
    opens: bool = False
    """This one opens it, and is kept up to date from then on."""
    again: bool = False
    """An earlier try may have arrived, and nobody can tell."""
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Its URL and its headers may hold secrets."""

    url: str = field(repr=False)
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""
    body: bytes = b""


class Http(Protocol):
    """Sends requests. Follows no redirect: a secret goes where its owner sent it, and nowhere else."""

    async def send(self, request: Request) -> Answer:
        """The answer, whatever its status.

        Raises:
            Unavailable: it was not sent.
            OutcomeUnknown: it was, and no answer came.
            InvalidInput: this is no URL.
            Forbidden: it leads to an address that must not be called.
        """
        ...


class Channel(Protocol):
    """One kind of channel. Stateless."""

    needs: Sequence[frozenset[str]]
    """The fields of the spec that it takes, as they are written in YAML: one of these sets."""
    pace: float
    """Seconds between two messages that the vendor asks for."""
    certain: bool
    """The receiver knows a message by its id: one that is sent twice is told once."""
    threaded: bool
    """A run has a thread: a first message, kept up to date, with the others below it."""

    def requests(self, letter: Letter) -> Sequence[Request]:
        """What to send, in order. All but the last may be repeated without harm."""
        ...

    def read(self, answer: Answer) -> str:
        """The thread that a letter opened; empty for others.

        Raises:
            Unavailable: the answer says, with a good status, that it is to be tried again.
            Rejected: that this message is refused.
            Forbidden: that any message would be.
        """
        ...

    def question(self, letter: Letter) -> Request | None:
        """Asks the vendor whether a letter has arrived; None where that cannot be asked."""
        ...

    def found(self, letter: Letter, answer: Answer) -> str | None:
        """The thread of the letter (or empty) if the answer to `question` shows that it has arrived, else None.

        Raises:
            Unsupported: it does not tell.
        """
        ...


def thing(body: bytes) -> Json:
    """A JSON object in an answer; empty when there is none."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
