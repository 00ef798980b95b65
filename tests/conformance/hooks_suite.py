"""What whoever calls hooks must do, by whatever way.

A test file subclasses `HooksSuite` and provides the fixture `bench`: a way to call, and the one at its other end.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass

from rollout.decide.seen import HookAnswer
from rollout.plan.called import Hook
from rollout.plan.kinds import PLAN_RUN, Ref
from rollout.ports.hooks import Call, Hooks

RUN = Ref(PLAN_RUN, "shop", "web-abcde-1")


@dataclass
class Bench(ABC):
    """A way to call, and the other end."""

    hook: Hook

    @abstractmethod
    def caller(self) -> Hooks:
        """A new caller, as after a restart."""

    @abstractmethod
    def answers(self, verdict: str) -> None:
        """What the other end says from now on: `passed`, `failed`, or `running` for nothing yet."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """How many different calls have arrived."""

    def call(self, number: int = 1) -> Call:
        return Call(RUN, "uid-run", self.hook, number, {"hook": self.hook.name})

    async def heard(self, hooks: Hooks, number: int = 1) -> HookAnswer:
        """How the call stands when it has had its time."""
        for _ in range(100):
            answer = await hooks.look(self.call(number))
            if answer.status != "running":
                return answer
            await asyncio.sleep(0.01)  # a real socket is at the other end
        return answer


class HooksSuite:
    """The suite."""

    async def test_a_yes_and_a_no_are_heard(self, bench: Bench) -> None:
        hooks = bench.caller()
        for number, verdict in enumerate(("passed", "failed"), 1):
            bench.answers(verdict)
            await hooks.begin(bench.call(number))
            answer = await bench.heard(hooks, number)
            assert (answer.status, bool(answer.text)) == (verdict, True)
            await hooks.end(bench.call(number))

    async def test_who_has_not_begun_knows_nothing(self, bench: Bench) -> None:
        assert (await bench.caller().look(bench.call())).status == "absent"

    async def test_begun_twice_is_called_once(self, bench: Bench) -> None:
        hooks = bench.caller()
        bench.answers("passed")
        for _ in range(2):
            await hooks.begin(bench.call())
            assert (await bench.heard(hooks)).status == "passed"
        assert bench.taken == 1

    async def test_after_a_restart_the_other_end_knows_the_call_again(self, bench: Bench) -> None:
        bench.answers("passed")
        for _ in range(2):
            hooks = bench.caller()
            await hooks.begin(bench.call())
            assert (await bench.heard(hooks)).status == "passed"
        assert bench.taken == 1

    async def test_nobody_waits_for_who_is_slow(self, bench: Bench) -> None:
        hooks = bench.caller()
        bench.answers("running")
        await hooks.begin(bench.call())
        assert (await hooks.look(bench.call())).status == "running"
        await hooks.end(bench.call())

    async def test_what_was_ended_is_gone(self, bench: Bench) -> None:
        hooks = bench.caller()
        bench.answers("passed")
        await hooks.begin(bench.call())
        await bench.heard(hooks)
        await hooks.end(bench.call())
        assert (await hooks.look(bench.call())).status == "absent"
        await hooks.end(bench.call())
