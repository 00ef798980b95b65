"""Hooks without a network: an outside world that remembers who called, and a caller that can die."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rollout.decide.seen import HookAnswer
from rollout.ports.hooks import Call

YES = HookAnswer("passed", "it answered 200")
NO = HookAnswer("failed", "it answered 500")


@dataclass(slots=True)
class Outside:
    """Whoever is called. It knows a call by its id, and answers one that comes again as it did before."""

    replies: Callable[[Call], HookAnswer] = lambda _: YES
    """The answer to a call that is new; `running`: it hangs."""
    calls: list[Call] = field(default_factory=list)
    """All that came, repetitions included."""
    known: dict[str, HookAnswer] = field(default_factory=dict)

    def take(self, call: Call) -> HookAnswer:
        """A call comes."""
        self.calls.append(call)
        if call.id not in self.known:
            self.known[call.id] = self.replies(call)
        return self.known[call.id]


@dataclass(slots=True)
class MemoryHooks:
    """The port `Hooks`. A new one knows nothing of the calls of the one before, as after a restart."""

    outside: Outside = field(default_factory=Outside)
    _begun: dict[str, HookAnswer] = field(default_factory=dict)

    async def begin(self, call: Call) -> None:
        """See `ports.hooks.Hooks.begin`."""
        if call.id not in self._begun:
            self._begun[call.id] = self.outside.take(call)

    async def look(self, call: Call) -> HookAnswer:
        """See `ports.hooks.Hooks.look`."""
        return self._begun.get(call.id, HookAnswer("absent"))

    async def end(self, call: Call) -> None:
        """See `ports.hooks.Hooks.end`."""
        self._begun.pop(call.id, None)
