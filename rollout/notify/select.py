"""Which events of a run a channel tells, and when.  Pure: the same events and the same time, the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from rollout.decide.reason import Reason
from rollout.notify.happenings import Happening, level
from rollout.notify.quiet import quiet_until
from rollout.plan.base import seconds
from rollout.plan.channel import ChannelSpec
from rollout.plan.kinds import Ref

_EACH_COUNTS: Final = frozenset(
    {
        *(Reason.WEIGHT_SET, Reason.STEP_PASSED, Reason.APPROVAL_NEEDED, Reason.APPROVED, Reason.PAUSED),
        *(Reason.RESUMED, Reason.RETRIED, Reason.SKIPPED, Reason.DECISION_REFUSED),
        *(Reason.HOOK_PASSED, Reason.HOOK_FAILED, Reason.HOOK_WAITS),
    }
)
"""What comes again with every step, or with every order: only the same words are a repetition."""


@dataclass(frozen=True, slots=True)
class Next:
    """What a channel does next about a run."""

    happening: Happening | None = None
    """The event to tell; None when there is none."""
    at: float = 0.0
    """When: an event may have to wait for the end of quiet hours."""
    done: int = 0
    """Events up to this number need not be told."""
    too_late: int = 0
    """So many of them should have been, and could not in time; those included of which nothing is kept any more."""
    left_out: int = 0
    """So many of them are left out because of quiet hours, or came too late."""


def covers(spec: ChannelSpec, own: str, home: str, run: Ref, plan: str) -> bool:
    """Whether a channel of the namespace `own` tells of a run; `home` is the controller's namespace."""
    wanted = spec.events.namespaces or (own,)
    allowed = run.namespace == own or own == home
    named = any(fnmatchcase(run.namespace, pattern) for pattern in wanted)
    return allowed and named and (not spec.events.plans or any(fnmatchcase(plan, it) for it in spec.events.plans))


def following(spec: ChannelSpec, events: Sequence[Happening], done: int, now: float) -> Next:
    """What is next after the events up to number `done`.

    In quiet hours an event that may pass goes at once, and what waited before it is left out.
    """
    patience, quiet = seconds(spec.give_up_after), quiet_until(spec.quiet_hours, now)
    too_late = left_out = _forgotten(events, done)
    done += too_late
    waiting: list[Happening] = []
    repeated = _repetitions(spec, events)
    for event in events:
        if event.seq <= done:
            continue
        if event.seq in repeated or not _is_wanted(spec, event):
            done = done if waiting else event.seq
        elif quiet is not None and not _passes(spec, event):
            waiting.append(event)
        elif _told_by(spec, event) + patience < now:
            too_late, left_out = too_late + 1, left_out + 1 + len(waiting)
            done, waiting = event.seq, []
        else:
            return Next(event, now, event.seq - 1, too_late, left_out + len(waiting))
    if waiting and quiet is not None:
        return Next(waiting[0], quiet, waiting[0].seq - 1, too_late, left_out)
    return Next(None, now, done, too_late, left_out)


def _forgotten(events: Sequence[Happening], done: int) -> int:
    """How many events after number `done` a run's story does not hold any more; whether they mattered nobody knows."""
    return max(events[0].seq - 1 - done, 0) if events else 0


def _is_wanted(spec: ChannelSpec, event: Happening) -> bool:
    wanted = spec.events
    if wanted.reasons and event.reason not in wanted.reasons:
        return False
    return level(event.severity) >= level(wanted.severity)


def _repetitions(spec: ChannelSpec, events: Sequence[Happening]) -> set[int]:
    """The events that say again what was said shortly before; what goes to and fro is told now and then."""
    pause, said, again = seconds(spec.repeat_after), dict[tuple[str, str], float](), set[int]()
    for event in events:
        key = event.reason, event.text if event.reason in _EACH_COUNTS else ""
        if key in said and event.at < said[key] + pause:
            again.add(event.seq)
        else:
            said[key] = event.at
    return again


def _passes(spec: ChannelSpec, event: Happening) -> bool:
    assert spec.quiet_hours is not None, "asked for in quiet hours only"
    return level(event.severity) >= level(spec.quiet_hours.urgent)


def _told_by(spec: ChannelSpec, event: Happening) -> float:
    """From when on it could be told: after the quiet hours in which it happened."""
    if spec.quiet_hours is None or _passes(spec, event):
        return event.at
    return quiet_until(spec.quiet_hours, event.at) or event.at
