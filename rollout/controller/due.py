"""When what is to be looked at again: a heap of times, one for each key, the earliest counts."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

SPARE: Final = 64
"""So many entries that do not count any more are no trouble."""
K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Due(Generic[K]):
    """Keys by the moment at which they are due; seconds on any clock that does not go back."""

    _at: dict[K, float] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _count: int = 0

    def __len__(self) -> int:
        return len(self._at)

    def push(self, key: K, at: float) -> None:
        """Look at `key` then, unless it is due earlier anyway; infinity means never."""
        if at == math.inf or self._at.get(key, math.inf) <= at:
            return
        self._at[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._at) + SPARE:  # what was replaced by an earlier time lies there until its own
            self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def pop(self, now: float, most: float = math.inf, patience: Callable[[K], float] = lambda _: 0.0) -> list[K]:
        """What is due, the longest overdue first; so many at most, the rest stays due.

        A key with patience comes as if it had become due so many seconds later; but it is due all the same.
        """
        due: list[tuple[float, int, K]] = []
        while self._heap and self._heap[0][0] <= now:
            entry = at, _, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:  # otherwise it was pushed again for an earlier time, and is done with
                del self._at[key]
                due.append(entry)
        due.sort(key=lambda entry: (entry[0] + patience(entry[2]), entry[1]))
        chosen = due[: int(min(most, len(due)))]
        for at, _, key in due[len(chosen) :]:
            self.push(key, at)
        return [key for _, _, key in chosen]

    def next(self) -> float:
        """When the next key is due; infinity when nothing is."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf
