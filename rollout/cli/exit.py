"""Exit codes: the one place that says which error and which end of a run gives which code.

    0 good    1 error    2 usage    3 rolled back or aborted    4 held or invalid    5 timed out
    6 refused by RBAC or an admission policy    130 interrupted

Imports nothing heavy: `rollout --help` passes through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from rollout.errors import Forbidden, InvalidInput, Rejected, RolloutError, Terminal


class Code(IntEnum):
    """What the shell sees."""

    GOOD = 0
    ERROR = 1
    USAGE = 2
    ROLLED_BACK = 3
    HELD = 4
    TIMED_OUT = 5
    REFUSED = 6
    INTERRUPTED = 130


class UsageError(Terminal):
    """Arguments that contradict each other, or a flag that is needed here."""


class TimedOut(Terminal):
    """What was waited for did not come in time."""


class Interrupted(Terminal):
    """Somebody pressed Ctrl-C."""


_PHASES: Final[Mapping[str, Code]] = {
    "RolledBack": Code.ROLLED_BACK,
    "Aborted": Code.ROLLED_BACK,
    # the version that was asked for is not what runs: a pipeline that waits for its change must not go on
    "Superseded": Code.ROLLED_BACK,
    "Held": Code.HELD,
}

_ERRORS: Final[tuple[tuple[type[RolloutError], Code], ...]] = (
    (UsageError, Code.USAGE),
    (TimedOut, Code.TIMED_OUT),
    (Interrupted, Code.INTERRUPTED),
    (Forbidden, Code.REFUSED),
    (InvalidInput, Code.HELD),
    (Rejected, Code.HELD),
)


def of_phase(phase: str) -> Code:
    """The code for a run in this phase; one that is still under way is good."""
    return _PHASES.get(phase, Code.GOOD)


def of_error(error: RolloutError) -> Code:
    """The code for an error: the first line of the table that fits."""
    return next((code for kind, code in _ERRORS if isinstance(error, kind)), Code.ERROR)
