"""What happened to a run, read from its stored status: a numbered line for each event.

Only what is stored counts: a line that an engine has in mind but did not write may never have happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rollout.decide.reason import Reason
from rollout.plan.channel import SEVERITIES, Severity
from rollout.plan.run import ENDED, Phase

_ROUTINE: Final = frozenset({Reason.WEIGHT_SET, Reason.STEP_PASSED, Reason.HOOK_PASSED})
"""What happens in every run as planned."""
_ASKS: Final = frozenset({Reason.APPROVAL_NEEDED})
BACK: Final = {str(it): str(it) for it in (Phase.ROLLED_BACK, Phase.ABORTED, Phase.SUPERSEDED)}
"""How a run can end that went home.  In its story the last line has the reason *why* it did; people are told *that*."""
REASONS: Final = frozenset({*map(str, Reason), *BACK})
"""Every reason that an event can have."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a run."""

    seq: int
    """Counted from 1, over the whole life of the run."""
    at: float
    reason: str
    text: str
    warning: bool
    cause: str = ""
    """Of an end: why the run went home."""

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        if self.warning:
            return "warning"
        if self.reason in _ASKS:
            return "action"
        return "detail" if self.reason in _ROUTINE else "info"


def level(severity: Severity) -> int:
    """Severities as numbers, the mildest first."""
    return SEVERITIES.index(severity)


def happenings(run: Mapping[str, Any]) -> list[Happening]:
    """All of a stored PlanRun that are kept, the oldest first; none of one that nobody can read."""
    try:
        return _read(run)
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def _read(run: Mapping[str, Any]) -> list[Happening]:
    state = _state(run)
    first, notes = int(state.get("forgotten") or 0) + 1, state.get("notes") or ()
    found = [
        Happening(
            first + index,
            float(note["at"]),
            str(note["reason"]),
            str(note["message"]),
            bool(note.get("warning")),
        )
        for index, note in enumerate(notes)
    ]
    return _with_the_end(found, BACK.get(phase(run), ""), state.get("ended"))


def _with_the_end(found: list[Happening], end: str, at: float | None) -> list[Happening]:
    """The events with the line of a run's way home as what it is: its end."""
    last = max((index for index, it in enumerate(found) if it.at == at), default=None)
    if not end or last is None:
        return found
    it = found[last]
    ended = replace(it, reason=end, cause=it.reason, warning=end == Phase.ROLLED_BACK)
    return [*found[:last], ended, *found[last + 1 :]]


def is_over(run: Mapping[str, Any]) -> bool:
    """Whether the run has ended."""
    return (run.get("status") or {}).get("phase") in {str(phase) for phase in ENDED}


def phase(run: Mapping[str, Any]) -> str:
    """The phase of a stored run."""
    return str((run.get("status") or {}).get("phase") or Phase.PENDING)


def _state(run: Mapping[str, Any]) -> Mapping[str, Any]:
    return (run.get("status") or {}).get("state") or {}
