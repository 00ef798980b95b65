"""Hooks: how somebody else is called in the course of a run, and how his answer is heard.

A call lasts: it is begun in one turn of the run and looked at in later ones, so that nobody who is slow holds up what
the run has to look after.  The engine has written a call down before it begins it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rollout.decide.seen import HookAnswer
from rollout.plan.called import Hook
from rollout.plan.kinds import Ref


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a hook."""

    run: Ref
    uid: str
    """The run's."""
    hook: Hook
    number: int
    """Among all calls of this hook in the run."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """What it is told. Only needed to begin."""

    @property
    def id(self) -> str:
        """By which a receiver knows a call that comes again."""
        return f"{self.uid}/{self.hook.name}/{self.number}"


class Hooks(Protocol):
    """Calls hooks. None of these waits for an answer; what only concerns the hook is not raised, but is an answer."""

    async def begin(self, call: Call) -> None:
        """Make the call. One that is under way, or was answered, is not made again.

        Raises:
            Retry: the cluster was not ready.
        """
        ...

    async def look(self, call: Call) -> HookAnswer:
        """How the call stands. `absent`: this caller has not begun it, or what it made is gone; the text names that.

        Raises:
            Retry: the cluster was not ready.
        """
        ...

    async def end(self, call: Call) -> None:
        """Remove what the call has made.

        Raises:
            Retry: the cluster was not ready.
        """
        ...
