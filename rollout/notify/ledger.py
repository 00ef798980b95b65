"""How far a channel is with each run: reading and writing the ledger in its status.  Pure.

A run has a line of its own from its first message until a while after its end.  Of runs without a line everything up to
`through` is done with; that moment follows the clock at a distance, so that clocks that differ a little do not matter.
So the ledger is as long as there are runs under way, not as there ever were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from rollout.notify.happenings import Happening
from rollout.plan.channel import Ledger, Told

MARGIN: Final = 300.0
"""Seconds by which clocks of engines may differ, and that a run's line stays after its end."""
_LEDGER: Final = TypeAdapter(Ledger)


def read(status: Mapping[str, Any], since: float) -> Ledger:
    """The ledger in a channel's status; one that is not there, or that nobody can read, begins at `since`."""
    try:
        return _LEDGER.validate_python(status["ledger"]) if status.get("ledger") else Ledger(since)
    except ValidationError:
        return Ledger(since)


def since(channel: Mapping[str, Any]) -> float:
    """When a channel was made: what happened before is nobody's news."""
    made = channel["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(made).timestamp() if made else 0.0


def dump(ledger: Ledger) -> dict[str, Any]:
    """Its stored form."""
    stored: dict[str, Any] = _LEDGER.dump_python(ledger, mode="json", by_alias=True, exclude_defaults=True)
    return stored


def line(ledger: Ledger, uid: str) -> Told | None:
    """The line of a run."""
    return next((it for it in ledger.runs if it.uid == uid), None)


def position(ledger: Ledger, uid: str, events: Sequence[Happening]) -> int:
    """Up to which event of a run everything is done with."""
    known = line(ledger, uid)
    if known is not None:
        return known.seq
    return max((it.seq for it in events if it.at <= ledger.through), default=0)


def with_line(ledger: Ledger, told: Told) -> Ledger:
    """The ledger with this line instead of the one that the run had."""
    return replace(ledger, runs=(*(it for it in ledger.runs if it.uid != told.uid), told))


def tidied(ledger: Ledger, now: float, waiting: Iterable[float], ends: Mapping[str, float]) -> Ledger:
    """The ledger without the lines that nobody needs.

    `waiting`: when the first event happened that is not told yet, of each run that has one.  `ends`: by their UIDs the
    runs that are there, each with the moment of its last event if it is over and told, else infinity.
    """
    through = max(ledger.through, min([now - MARGIN, *(math.nextafter(at, -math.inf) for at in waiting)]))
    kept = tuple(it for it in ledger.runs if it.uid in ends and (ends[it.uid] > through or it.sending is not None))
    return Ledger(through, kept)
