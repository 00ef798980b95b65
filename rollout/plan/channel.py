"""NotificationChannel as people write it, and what we write into its status."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from rollout.plan.base import Duration, Model, Name, Rule
from rollout.plan.gate import SecretKey
from rollout.plan.program import STORED
from rollout.plan.status import Conditions, Time

_POSTS: Final = (
    r"^https?://([^/]*\.)?(hooks\.slack\.com|chat\.googleapis\.com|logic\.azure\.com|powerplatform\.com"
    r"|office\.com|discord(app)?\.com)([/:?]|$)"
)
"""Hosts whose URLs let whoever knows one post: the URL is the secret."""
_CLOCK: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"

Severity = Literal["detail", "info", "action", "warning"]
"""`detail`: a step went as planned. `info`: the run began, went on or ended well. `action`: a person is asked for.
`warning`: it waits, fails, or is undone."""
SEVERITIES: Final[tuple[Severity, ...]] = ("detail", "info", "action", "warning")
"""From the mildest on."""
PLACEHOLDERS: Final = frozenset(
    {
        *("title", "text", "cluster", "namespace", "plan", "kind", "run", "reason", "what", "severity"),
        *("phase", "step", "steps", "weight", "change", "by", "next", "time"),
    }
)
"""What `${...}` in a template may name."""
PLACEHOLDER: Final = re.compile(r"\$\{([a-zA-Z_]*)\}")
"""Where something is filled in. Names in braces and nothing else: `$5` and `$$` stay what they are."""


class Wanted(Model):
    """Which events a channel tells."""

    severity: Severity = "info"
    """The mildest that is told: `detail`, `info`, `action` (a person is asked for) or `warning`."""
    reasons: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]+$", max_length=64)], ...], Field(max_length=64)
    ] = ()
    """Only these reasons, such as `RolledBack`; all when empty."""
    plans: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=253)], ...], Field(max_length=64)] = ()
    """Only plans of these names; `*` stands for any characters. All when empty."""
    namespaces: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=63)], ...], Field(max_length=256)] = ()
    """Of these namespaces, `*` for all. The channel's own when empty; another's only for a channel in the namespace of
    the controller."""


class QuietHours(Model):
    """When people are left in peace."""

    start: Annotated[str, Field(pattern=_CLOCK, max_length=5)]
    """From this time of the day: `22:00`."""
    end: Annotated[str, Field(pattern=_CLOCK, max_length=5)]
    """Until this time of the day, of the next one where it is earlier than `start`."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """Whose clock that is: `Europe/Paris`."""
    days: Annotated[
        tuple[Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ...],
        Field(max_length=7),
    ] = ()
    """The days on which they begin; every day when empty."""
    urgent: Severity = "warning"
    """What is told all the same: this severity and worse. Milder events wait for the end; those of a run before one
    that passes are left out."""


class Template(Model):
    """Own words. `${name}` stands for one of `title`, `text`, `cluster`, `namespace`, `plan`, `kind`, `run`, `reason`,
    `what`, `severity`, `phase`, `step`, `steps`, `weight`, `change`, `by`, `next`, `time`; nothing is evaluated."""

    title: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The first line."""
    text: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """What is below it."""

    @property
    def unknown(self) -> list[str]:
        """What it names that there is not."""
        named = PLACEHOLDER.findall(f"{self.title or ''} {self.text or ''}")
        return [name for name in dict.fromkeys(named) if name not in PLACEHOLDERS]


class ChannelSpec(Model):
    """Where to tell whom about what."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO270",
            "!has(self.address) || !self.address.matches('^https?://[^/?#]*@')",
            "an address holds no user name or password: put the whole URL into a Secret, and name it in addressFrom",
            lambda it: (
                it.address is None
                or "@" not in it.address.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]
            ),
        ),
        Rule(
            "RO271",
            "!has(self.address) || !has(self.addressFrom)",
            "a channel has either address or addressFrom",
            lambda it: it.address is None or it.address_from is None,
        ),
        Rule(
            "RO272",
            f"!has(self.address) || !self.address.matches('{_POSTS}')".replace("\\", "\\\\"),
            "whoever knows such a URL can post there: put it into a Secret, and name that in addressFrom",
            lambda it: it.address is None or _is_no_secret(it.address),
        ),
    )

    type: Name
    """`webhook`, `slack`, `slack-bot`, `teams`, `discord`, `google-chat`, `alertmanager`, or one of a plug-in."""
    address: Annotated[str, Field(pattern=r"^https?://", max_length=1024)] | None = None
    """The URL, where it is no secret."""
    address_from: SecretKey | None = None
    """The URL, in a Secret of this namespace."""
    token: SecretKey | None = None
    """A bot's or bearer token, in a Secret of this namespace."""
    signature: SecretKey | None = None
    """The key that messages are signed with, in a Secret of this namespace."""
    channel: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """For `slack-bot`: the ID of the channel to write to, `C0123456789`."""
    cluster: Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)?$", max_length=63)] = ""
    """The name of this cluster in messages."""
    options: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """What a plug-in's type needs besides. No secrets."""
    events: Wanted = Wanted()
    """Which events are told."""
    quiet_hours: QuietHours | None = None
    """When only what is urgent is told."""
    repeat_after: Duration = "10m"
    """The same reason again in a run is told when so much time has passed."""
    give_up_after: Duration = "1h"
    """An event that could not be told for so long is left out."""
    template: Template = Template()
    """Own words instead of ours."""


def _is_no_secret(address: str) -> bool:
    return re.match(_POSTS, address) is None


@dataclass(frozen=True, slots=True)
class Sending:
    """What is being sent: written before it is sent."""

    seq: int
    """Number of the event in its run; 0 for the message that opens a thread."""
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """How far a channel is with one run."""

    uid: str
    seq: int = 0
    """Everything up to this event is done with."""
    sending: Sending | None = None
    thread: str = ""
    """What the vendor calls the run's thread."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """How far a channel is. What is not in it was told, or has begun after `through`."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    through: float = 0.0
    """Events until then are done with, in runs that have no line of their own."""
    runs: tuple[Told, ...] = field(default=())


class ChannelStatus(Model):
    """How a channel is doing."""

    observed_generation: int | None = None
    """The generation of the spec that this status is about."""
    sent: int | None = None
    """So many messages were sent."""
    missed: int | None = None
    """So many events could not be told in time, or were refused; those included, whatever their severity was, that a
    run's story has lost meanwhile."""
    last_sent: Time | None = None
    """When the last message was sent."""
    conditions: Conditions = ()
    """`Ready`: whether the last message arrived, and if not, why."""
    ledger: Ledger | None = None
    """Our memory: what was told of which run. Nothing else has to be known to go on."""
