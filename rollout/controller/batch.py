"""All questions of one moment in one call: runs ask by themselves, the metrics are asked for all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.ports.metrics import Ask, Metrics, Reading

GATHER: Final = 0.05
"""Seconds that the first question of a moment waits for others."""


@dataclass(slots=True)
class Batched:
    """The port `Metrics`: gathers for a moment, asks `inner` once; the same question is asked once."""

    inner: Metrics
    _asks: dict[Ask, None] = field(default_factory=dict)
    _answer: asyncio.Task[Mapping[Ask, Reading]] | None = None

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        """See `ports.metrics.Metrics.ask`."""
        if not asks:
            return {}
        self._asks.update(dict.fromkeys(asks))
        if self._answer is None:
            self._answer = asyncio.create_task(self._gather())
        # one who gives up must not take the answer from the others
        answers = await asyncio.shield(self._answer)
        return {ask: answers[ask] for ask in asks}

    async def _gather(self) -> Mapping[Ask, Reading]:
        await asyncio.sleep(GATHER)
        asks, self._asks, self._answer = tuple(self._asks), {}, None
        return await self.inner.ask(asks)
