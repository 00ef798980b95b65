"""Questions of one moment are asked once, whoever asks and whoever gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from rollout.controller.batch import Batched
from rollout.ports.metrics import Ask, Reading, ScalarAsk

ONE, TWO, THREE = (ScalarAsk(f"vector({n})") for n in (1, 2, 3))


@dataclass
class Inner:
    """Answers with the question; may take its time, or fail."""

    error: Exception | None = None
    opens: asyncio.Event | None = None
    calls: list[Sequence[Ask]] = field(default_factory=list)
    called: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        self.calls.append(asks)
        self.called.put_nowait(None)
        if self.opens is not None:
            await self.opens.wait()
        if self.error is not None:
            raise self.error
        return {ask: Reading("value", str(ask), 1.0) for ask in asks}


async def test_two_asks_of_one_moment_are_one_call_and_each_gets_its_own() -> None:
    inner = Inner()
    batched = Batched(inner)
    first, second = await asyncio.gather(batched.ask([ONE, TWO]), batched.ask([TWO, THREE]))
    assert (set(first), set(second)) == ({ONE, TWO}, {TWO, THREE})
    assert inner.calls == [(ONE, TWO, THREE)]


async def test_what_is_asked_while_the_answer_is_on_its_way_is_the_next_call() -> None:
    inner = Inner(opens=asyncio.Event())
    assert inner.opens is not None
    batched = Batched(inner)
    first = asyncio.create_task(batched.ask([ONE]))
    await inner.called.get()
    second = asyncio.create_task(batched.ask([ONE]))
    await inner.called.get()
    inner.opens.set()
    assert set(await first) == set(await second) == {ONE}
    assert inner.calls == [(ONE,), (ONE,)]


async def test_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    inner = Inner(opens=asyncio.Event())
    assert inner.opens is not None
    batched = Batched(inner)
    gives_up = asyncio.create_task(batched.ask([ONE]))
    waits = asyncio.create_task(batched.ask([TWO]))
    await inner.called.get()
    gives_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gives_up
    inner.opens.set()
    assert set(await waits) == {TWO}
    assert set(await batched.ask([ONE])) == {ONE}, "and later ones are answered as ever"


async def test_a_fault_reaches_all_who_asked_and_nobody_later() -> None:
    inner = Inner(error=ValueError("a fault of ours"))
    batched = Batched(inner)
    both = await asyncio.gather(batched.ask([ONE]), batched.ask([TWO]), return_exceptions=True)
    assert [str(error) for error in both] == ["a fault of ours"] * 2
    inner.error = None
    assert set(await batched.ask([ONE])) == {ONE}


async def test_who_asks_nothing_costs_nothing() -> None:
    inner = Inner()
    assert await Batched(inner).ask([]) == {}
    assert inner.calls == []
