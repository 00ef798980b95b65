"""Answers that were dear, kept for a moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Memo:
    """By question, the last answer and when it was given. What raises is not kept."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, Any]] = {}

    async def once(
        self, question: Hashable, now: float, seconds: float, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The answer of the last so many seconds, or a new one. `now` is monotonic."""
        self._kept = {key: it for key, it in self._kept.items() if now < it[0]}
        if question not in self._kept:
            answer = await ask()
            self._kept[question] = now + seconds, answer
        found: Answer = self._kept[question][1]
        return found
