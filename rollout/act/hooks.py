"""Calls of hooks, and the removal of their Jobs."""

from __future__ import annotations

from rollout.decide.action import CallHook, DropHook
from rollout.plan.kinds import Ref
from rollout.ports.hooks import Call, Hooks


async def act(hooks: Hooks | None, run: Ref, uid: str, action: CallHook | DropHook) -> None:
    """Call, or remove what a call has made. Where nobody can call, `observe.hooks` says so."""
    if hooks is None:
        return
    match action:
        case CallHook(hook, number, body):
            await hooks.begin(Call(run, uid, hook, number, body))
        case DropHook(hook, number):
            await hooks.end(Call(run, uid, hook, number))
