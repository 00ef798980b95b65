"""How the calls of hooks stand."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.decide.seen import HookAnswer
from rollout.plan.called import JobCall
from rollout.plan.kinds import Ref
from rollout.plan.run import RunSpec, State
from rollout.ports.hooks import Call, Hooks


async def answers(hooks: Hooks | None, run: Ref, uid: str, spec: RunSpec, state: State) -> Mapping[str, HookAnswer]:
    """By the hook's name: of calls that were not answered, and of those whose Jobs may still be there."""
    found = {}
    for name, known in state.hooks.items():
        hook = spec.program.hook(name)
        open_ = not known.verdict or (isinstance(hook.how, JobCall) and not known.gone)
        if not open_:
            continue
        if hooks is None:
            found[name] = HookAnswer("absent" if known.verdict else "failed", "this engine cannot call hooks")
        else:
            found[name] = await hooks.look(Call(run, uid, hook, known.number))
    return found
