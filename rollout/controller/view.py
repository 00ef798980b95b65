"""What a run looks like from outside: everything that the terminal, JSON and messages are made from."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.decide.seen import Seen
from rollout.plan.run import RunSpec, State


@dataclass(frozen=True, slots=True)
class RunView:
    """One run at one moment. `seen` is there only in the process that drives the run."""

    namespace: str
    name: str
    uid: str
    spec: RunSpec
    state: State
    now: float
    seen: Seen | None = None
