"""What can happen to a run: the closed set of events that move it from phase to phase."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """Each event has a place in the transition table for every phase in which it may happen."""

    STARTED = "Started"
    """Preflight is clean: the first step begins."""
    STEP_DONE = "StepDone"
    """The step's instructions, hold and gates are done, and another step follows."""
    APPROVAL_NEEDED = "ApprovalNeeded"
    APPROVED = "Approved"
    """A person, or the approval's own rule, lets the run go on."""
    SKIPPED = "Skipped"
    """A person lets the step pass without what is left of its hold and gates."""
    RETRIED = "Retried"
    """A person ordered a new attempt of the step."""
    BLOCKED = "Blocked"
    """Something is missing that nobody should be blamed for: wait and say so."""
    CLEARED = "Cleared"
    """What was missing is there."""
    PAUSED = "Paused"
    RESUMED = "Resumed"
    RELEASED = "Released"
    """The commit point is reached: the Deployment may roll."""
    FAILED = "Failed"
    """A gate, the candidate or a deadline failed, and the step says roll back."""
    STOPPED = "Stopped"
    """The same, and the step says hold; or the roll after the commit point is stuck."""
    ABORTED = "Aborted"
    """A person, a deleted plan, or an expired approval."""
    SUPERSEDED = "Superseded"
    """A newer revision, or the old one again."""
    PIN_LOST = "PinLost"
    """Stable's pods are not behind the pinned route any more."""
    HOME = "Home"
    """Everything of ours is gone: the run ends with its outcome."""
