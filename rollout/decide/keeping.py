"""What keeps a run from going on although nothing is wrong with it: it is outside of its windows, too early, or
frozen.

What cannot stop half-way is kept by nothing: after the commit point, and on the way home.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rollout.decide.answer import too_late
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen, Timing
from rollout.errors import InvalidInput
from rollout.plan.freeze import Freeze
from rollout.plan.run import Phase, RunSpec, State
from rollout.plan.window import spelled

_GOING: Final = (Phase.PENDING, Phase.PROGRESSING, Phase.HOLDING)
"""Phases in which a run goes on by itself."""
REASONS: Final = (Reason.FROZEN, Reason.OUTSIDE_WINDOW, Reason.SCHEDULED)
"""All that a run stands still for."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why nothing goes on."""

    reason: Reason
    message: str
    until: float = math.inf
    """When it is over, as far as is known; infinity where somebody has to do something."""


def early(timing: Timing, now: float) -> Standstill | None:
    """Why no run may begin yet."""
    if timing.start_at is None or now >= timing.start_at:
        return None
    return Standstill(Reason.SCHEDULED, f"it starts at {spelled(timing.start_at, timing.zone)}", timing.start_at)


def closed(timing: Timing, now: float) -> Standstill | None:
    """Why a run may neither begin nor go on now: by a freeze, or by the plan's windows."""
    return next((it for freeze in timing.freezes if (it := frozen(freeze, now)) is not None), None) or _shut(
        timing, now
    )


def frozen(freeze: Freeze, now: float) -> Standstill | None:
    """Why a freeze keeps everything where it is; None when it is not in force."""
    named = f"ChangeFreeze/{freeze.name}"
    if freeze.spec is None:
        return Standstill(Reason.FROZEN, f"{named} cannot be read, and so nothing goes on: correct it, or delete it")
    try:
        end = freeze.spec.end(now)
    except InvalidInput as error:
        return Standstill(Reason.FROZEN, f"the windows of {named} cannot be read, and so nothing goes on: {error}")
    if end is None:
        return None
    last = f"until {spelled(end, freeze.spec.zone)}" if end < math.inf else "until it is deleted"
    return Standstill(Reason.FROZEN, f"frozen by {named} {last}: {freeze.spec.reason}", end)


def _shut(timing: Timing, now: float) -> Standstill | None:
    if timing.flaw:
        return Standstill(Reason.OUTSIDE_WINDOW, timing.flaw)
    try:
        opens = timing.windows.opens(now)
    except InvalidInput as error:  # what cannot be read allows nothing
        return Standstill(Reason.OUTSIDE_WINDOW, f"its windows cannot be read: {error}")
    if opens is None:
        return Standstill(Reason.OUTSIDE_WINDOW, "its windows never open: correct spec.windows")
    if opens <= now:
        return None
    return Standstill(Reason.OUTSIDE_WINDOW, f"outside of its windows until {spelled(opens, timing.zone)}", opens)


def unready(timing: Timing, now: float) -> Standstill | None:
    """Why no run begins now."""
    return early(timing, now) or closed(timing, now)


def stands(run: RunSpec, state: State, seen: Seen, now: float) -> Standstill | None:
    """Why this run does not go on now; None when it may."""
    return kept(state, seen, now) if state.phase in _GOING and not too_late(run, state) else None


def kept(state: State, seen: Seen, now: float) -> Standstill | None:
    """What would keep a run, whatever its phase is."""
    return next(_reasons(state, seen, now), None)


def _reasons(state: State, seen: Seen, now: float) -> Iterator[Standstill]:
    """Windows and freezes are for the ordinary course: promotion in full was ordered by somebody who knows the time."""
    if not state.full:
        found = closed(seen.timing, now) if state.floor else unready(seen.timing, now)
        yield from (it for it in (found,) if it is not None)
