"""All questions of one moment in one call to each provider: runs ask by themselves, and are answered together."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.plan.gate import Provider
from rollout.ports.metrics import Ask, Metrics, Reading

GATHER: Final = 0.05
"""Seconds that the first question of a moment waits for others."""


@dataclass(slots=True)
class Batched:
    """The port `Metrics`: gathers for a moment, asks `inner` once for each provider; the same question is asked once.

    Nobody waits for a provider that it does not ask.
    """

    inner: Metrics
    _asks: dict[Provider | None, dict[Ask, None]] = field(default_factory=lambda: defaultdict(dict))
    _answers: dict[Provider | None, asyncio.Task[Mapping[Ask, Reading]]] = field(default_factory=dict)

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        """See `ports.metrics.Metrics.ask`."""
        groups: dict[Provider | None, list[Ask]] = defaultdict(list)
        for ask in asks:
            groups[ask.provider].append(ask)
        found = await asyncio.gather(*(self._of(provider, group) for provider, group in groups.items()))
        return {ask: reading for answer in found for ask, reading in answer.items()}

    async def _of(self, provider: Provider | None, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        self._asks[provider].update(dict.fromkeys(asks))
        if provider not in self._answers:
            self._answers[provider] = asyncio.create_task(self._gather(provider))
        # one who gives up must not take the answer from the others
        answers = await asyncio.shield(self._answers[provider])
        return {ask: answers[ask] for ask in asks}

    async def _gather(self, provider: Provider | None) -> Mapping[Ask, Reading]:
        await asyncio.sleep(GATHER)
        asks = tuple(self._asks.pop(provider))
        del self._answers[provider]
        return await self.inner.ask(asks)
