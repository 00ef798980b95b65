"""Who calls hooks: by HTTP, or by Jobs."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.decide.seen import HookAnswer
from rollout.plan.called import JobCall
from rollout.ports.hooks import Call, Hooks


@dataclass(frozen=True, slots=True)
class Calls:
    """The port `Hooks`: each call by the one who can make it."""

    http: Hooks
    jobs: Hooks

    async def begin(self, call: Call) -> None:
        """See `ports.hooks.Hooks.begin`."""
        await self._by(call).begin(call)

    async def look(self, call: Call) -> HookAnswer:
        """See `ports.hooks.Hooks.look`."""
        return await self._by(call).look(call)

    async def end(self, call: Call) -> None:
        """See `ports.hooks.Hooks.end`."""
        await self._by(call).end(call)

    def _by(self, call: Call) -> Hooks:
        return self.jobs if isinstance(call.hook.how, JobCall) else self.http
