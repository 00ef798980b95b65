"""What the engine can want done: the closed set of actions that `act/` performs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.plan.called import Hook
from rollout.plan.program import MeshInstruction
from rollout.plan.run import Entry


@dataclass(frozen=True, slots=True)
class Steer:
    """Give the candidate `weight` percent, stable the rest; 0 pins every request to stable, but for what matches."""

    weight: float
    matched: bool = False
    """Whether chosen requests go to the candidate all the same."""
    mirror: float = 0.0
    """Percent of the requests that are copied to the candidate."""


@dataclass(frozen=True, slots=True)
class Size:
    """Have the candidate, with `replicas` pods."""

    replicas: int


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Un-pause the Deployment, with a release where a policy holds it."""


@dataclass(frozen=True, slots=True)
class Unroute:
    """Give the routes back to their owner."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete the candidate, in the foreground."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Delete what we created and nothing names any more."""


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take back a release: write the stable template again, and let it roll."""


@dataclass(frozen=True, slots=True)
class HoldAgain:
    """Write the template that was tried again, held: its owner still asks for it."""


@dataclass(frozen=True, slots=True)
class EndHold:
    """Take the hold's label and mark off the Deployment; whether it is paused stays as it is."""


@dataclass(frozen=True, slots=True)
class Rearm:
    """Pause the Deployment again, where it rests paused."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Do what an instruction of an adoption asks for."""

    instruction: MeshInstruction
    step: int


@dataclass(frozen=True, slots=True)
class Undo:
    """Undo one line of an adoption's journal."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class CallHook:
    """Call a hook, for the so many-th time in this run."""

    hook: Hook
    number: int
    body: Mapping[str, Any]
    """What it is told."""


@dataclass(frozen=True, slots=True)
class DropHook:
    """Remove the Job of a call."""

    hook: Hook
    number: int


Write = Adopt | Undo | Steer | Size | ReleaseHold | Unroute | Retire | Sweep | TakeBack | HoldAgain | EndHold | Rearm
"""What writes to the world."""
Action = Write | CallHook | DropHook
