"""The status of a channel, as people and tools read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from rollout.errors import Forbidden, InvalidInput, NotFound, OutcomeUnknown, RolloutError
from rollout.notify import ledger as books
from rollout.plan.base import Json, rfc3339
from rollout.plan.channel import Ledger


@dataclass(frozen=True, slots=True)
class Standing:
    """How a channel is doing, as its condition `Ready` says it."""

    reason: str = "Sent"
    message: str = "the last message has arrived"

    @property
    def good(self) -> bool:
        """Whether the channel works."""
        return self.reason == "Sent"

    @classmethod
    def of(cls, error: RolloutError) -> Self:
        """What a failure means for the channel. An error of ours names no URL, and no answer's words."""
        match error:
            case NotFound():
                return cls("SecretMissing", f"{error}")
            case Forbidden():
                return cls("Refused", f"{error}; {error.hint}".rstrip("; "))
            case InvalidInput():
                return cls("Invalid", f"{error}; {error.hint}".rstrip("; "))
            case OutcomeUnknown():
                return cls("NoAnswer", f"{error}; it is tried again")
            case _:
                return cls("Unreachable", f"{error}; it is tried again")

    @classmethod
    def in_status(cls, channel: Mapping[str, Any]) -> Self | None:
        """What the status says of this generation; None when it says nothing."""
        ready = _ready(channel)
        if not ready or ready.get("observedGeneration") != channel["metadata"].get("generation", 1):
            return None
        return cls(ready["reason"], ready["message"])


SENT: Final = Standing()
"""The last message has arrived."""


def report(
    channel: Mapping[str, Any], now: float, ledger: Ledger, standing: Standing | None = None, *, missed: int = 0
) -> Json:
    """The whole status: without a standing it stays as it was, and nothing counts as sent."""
    before, generation = channel.get("status") or {}, channel["metadata"].get("generation", 1)
    sent = standing is not None and standing.good
    status: Json = {
        "observedGeneration": generation,
        "sent": int(before.get("sent") or 0) + sent,
        "missed": int(before.get("missed") or 0) + missed,
        "ledger": books.dump(ledger),
    }
    if sent or before.get("lastSent"):
        status["lastSent"] = rfc3339(now) if sent else before["lastSent"]
    conditions = before.get("conditions") or []
    status["conditions"] = conditions if standing is None else [_condition(channel, standing, generation, now)]
    return status


def _condition(channel: Mapping[str, Any], standing: Standing, generation: int, now: float) -> Json:
    old, status = _ready(channel), "True" if standing.good else "False"
    return {
        "type": "Ready",
        "status": status,
        "reason": standing.reason,
        "message": standing.message[:1024],
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else rfc3339(now),
    }


def _ready(channel: Mapping[str, Any]) -> Mapping[str, Any]:
    conditions = (channel.get("status") or {}).get("conditions") or ()
    return next((it for it in conditions if it["type"] == "Ready"), {})
