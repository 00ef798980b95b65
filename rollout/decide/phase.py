"""The transition table: every phase a run can be in, every event that can happen there, and where it leads.

Rule 1: everything that decides about phases is in this file.  `advance` only looks up; a missing key is the error
`IllegalTransition`, not a surprise in production.  The engine says *what happened* (an event), never *which phase*.

Going home is one phase, whatever the reason: `RollingBack` ends in the run's `outcome` (RolledBack, Aborted,
Superseded, or Succeeded when a promotion cleans up).  Ends are chosen by the engine from that field, and only by the
event `Home`; the table names the phase `RollingBack` or `Promoting` as its only origins.

A run that waits for what is missing (`Holding`), for a person (`AwaitingApproval`, `Paused`) or because it failed and
must not go back by itself (`Held`) can still be aborted, superseded and lose its pin: those rows repeat on purpose.
A run that goes back to a step of its plan stops there (`Stopped`), and can be sent all the way home meanwhile.
A run that goes home turns round (`Approved`) only when promotion in full is ordered while stable has no ready pod.

`rollout version --diagram` prints the diagram that `diagram` makes from this table; the README holds a copy, and a
test fails when it is stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rollout.decide.event import Event
from rollout.errors import IllegalTransition
from rollout.plan.run import Phase

_GOING_HOME: Final = {
    Event.FAILED: Phase.ROLLING_BACK,
    Event.ABORTED: Phase.ROLLING_BACK,
    Event.SUPERSEDED: Phase.ROLLING_BACK,
    Event.PIN_LOST: Phase.ROLLING_BACK,
}

TRANSITIONS: Final[Mapping[Phase, Mapping[Event, Phase]]] = {
    Phase.PENDING: {
        Event.STARTED: Phase.PROGRESSING,
        Event.BLOCKED: Phase.HOLDING,
        Event.PAUSED: Phase.PAUSED,
        **_GOING_HOME,
    },
    Phase.PROGRESSING: {
        Event.STEP_DONE: Phase.PROGRESSING,
        Event.SKIPPED: Phase.PROGRESSING,
        Event.APPROVAL_NEEDED: Phase.AWAITING_APPROVAL,
        Event.BLOCKED: Phase.HOLDING,
        Event.PAUSED: Phase.PAUSED,
        Event.RELEASED: Phase.PROMOTING,
        Event.STOPPED: Phase.HELD,
        Event.HOME: Phase.SUCCEEDED,
        **_GOING_HOME,
    },
    Phase.AWAITING_APPROVAL: {
        Event.APPROVED: Phase.PROGRESSING,
        Event.STOPPED: Phase.HELD,
        Event.PAUSED: Phase.PAUSED,
        **_GOING_HOME,
    },
    Phase.HOLDING: {
        Event.CLEARED: Phase.PROGRESSING,
        Event.SKIPPED: Phase.PROGRESSING,
        Event.RETRIED: Phase.PROGRESSING,
        Event.BLOCKED: Phase.HOLDING,
        Event.PAUSED: Phase.PAUSED,
        Event.STOPPED: Phase.HELD,
        **_GOING_HOME,
    },
    Phase.PAUSED: {
        Event.RESUMED: Phase.PROGRESSING,
        Event.STOPPED: Phase.HELD,
        **_GOING_HOME,
    },
    Phase.PROMOTING: {
        Event.STEP_DONE: Phase.PROMOTING,
        Event.STOPPED: Phase.HELD,
        Event.FAILED: Phase.ROLLING_BACK,
        Event.ABORTED: Phase.ROLLING_BACK,
        Event.SUPERSEDED: Phase.ROLLING_BACK,
        Event.HOME: Phase.SUCCEEDED,
    },
    Phase.HELD: {
        Event.APPROVED: Phase.PROGRESSING,
        Event.SKIPPED: Phase.PROGRESSING,
        Event.RETRIED: Phase.PROGRESSING,
        Event.RELEASED: Phase.PROMOTING,
        **_GOING_HOME,
    },
    Phase.ROLLING_BACK: {
        Event.PIN_LOST: Phase.ROLLING_BACK,
        Event.ABORTED: Phase.ROLLING_BACK,
        Event.APPROVED: Phase.PROGRESSING,
        Event.STOPPED: Phase.HELD,
        Event.HOME: Phase.ROLLED_BACK,
    },
    Phase.SUCCEEDED: {},
    Phase.ROLLED_BACK: {},
    Phase.ABORTED: {},
    Phase.SUPERSEDED: {},
}

_OUTCOMES: Final = frozenset({Phase.ROLLED_BACK, Phase.ABORTED, Phase.SUPERSEDED})


def advance(phase: Phase, event: Event, outcome: Phase | None = None) -> Phase:
    """The phase after an event.  Going home ends in `outcome` when one was chosen on the way.

    Raises:
        IllegalTransition: the table has no such entry.
    """
    after = TRANSITIONS[phase].get(event)
    if after is None:
        raise IllegalTransition(f"event {event} cannot happen in phase {phase}")
    if event is Event.HOME and phase is Phase.ROLLING_BACK and outcome in _OUTCOMES:
        return outcome
    return after


def allows(phase: Phase, event: Event) -> bool:
    """Whether the event can happen in this phase."""
    return event in TRANSITIONS[phase]


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> Pending"]
    for phase, row in TRANSITIONS.items():
        targets: dict[Phase, list[str]] = {}
        for event, after in row.items():
            targets.setdefault(after, []).append(event)
        for after, events in targets.items():
            lines.append(f"    {phase} --> {after}: {', '.join(events)}")
        if not row:
            lines.append(f"    {phase} --> [*]")
    lines += [f"    {Phase.ROLLING_BACK} --> {end}: Home" for end in (Phase.ABORTED, Phase.SUPERSEDED)]
    return "\n".join(lines) + "\n"
