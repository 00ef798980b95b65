"""What was made of objects, kept for as long as they are the very same: a run looks four times a step at what seldom
changes, and reading it anew was most of what its looks cost.

Objects from memory are never changed in place (`controller.stores`), so the same object says the same.  Who reads from
the API server gets new objects each time, and everything is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Remembered:
    """The last result of each question about one run. Never what depends on anything but the given objects."""

    _last: dict[str, tuple[tuple[object, ...], Any]] = field(default_factory=dict)

    def same(self, question: str, given: Sequence[object], make: Callable[[], T]) -> T:
        """The answer made of these objects: the last one, if they are those that it was made of."""
        before = self._last.get(question)
        if before is not None and len(before[0]) == len(given) and all(map(is_, before[0], given)):
            found: T = before[1]
            return found
        made = make()
        self._last[question] = tuple(given), made
        return made
