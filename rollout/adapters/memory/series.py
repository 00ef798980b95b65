"""Time series of the in-memory world: what a Prometheus has stored, sampled over simulated time.

A sample is taken of everything at the same moments, as if one scrape saw all targets.  A series that is not there at
one of them has a gap; at the newest, it is gone, as after a staleness marker.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

NAME: Final = "__name__"
_LOOKBACK: Final = 300.0
"""A sample that is older is not what there is now."""
_GAP: Final = math.nan

Labels = tuple[tuple[str, str], ...]
"""Label names and values, sorted; the metric's name is not among them."""


def labelled(labels: Mapping[str, str]) -> Labels:
    """Labels as a key."""
    return tuple(sorted(labels.items()))


@dataclass(slots=True)
class Stored:
    """One series: its values from the sample number `first` on."""

    labels: Mapping[str, str]
    """With the metric's name."""
    first: int
    values: array[float] = field(default_factory=lambda: array("d"))


class Key:
    """Names one series to a store, again and again: whoever keeps it saves the store from looking."""

    __slots__ = ("labels", "name", "place")

    def __init__(self, name: str, labels: Labels) -> None:
        self.name = name
        self.labels = labels
        self.place: Stored | None = None


class SeriesStore:
    """All series by name."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        """Seconds between two samples; change it before time passes."""
        self._times: array[float] = array("d")
        self._series: dict[tuple[str, Labels], Stored] = {}
        self._chosen: dict[Hashable, tuple[int, list[Stored]]] = {}
        """What was chosen before, and out of how many series."""

    def due(self, now: float) -> bool:
        """Whether it is time for a sample."""
        return not self._times or now // self.every > self._times[-1] // self.every

    def sample(self, now: float, values: Iterable[tuple[Key, float]]) -> None:
        """Store what there is at this moment."""
        number = len(self._times)
        self._times.append(now)
        for key, value in values:
            stored = key.place or self._placed(key, number)
            missed = number - stored.first - len(stored.values)
            if missed:
                stored.values.extend([_GAP] * missed)
            stored.values.append(value)

    def _placed(self, key: Key, number: int) -> Stored:
        made = Stored({NAME: key.name, **dict(key.labels)}, number)
        key.place = self._series.setdefault((key.name, key.labels), made)
        return key.place

    def choose(self, what: Hashable, fits: Callable[[Mapping[str, str]], bool]) -> Sequence[Stored]:
        """The series that fit; for the same `what`, only those that are new are looked at."""
        seen, found = self._chosen.setdefault(what, (0, []))
        if seen < len(self._series):
            found += [it for it in islice(self._series.values(), seen, None) if fits(it.labels)]
            self._chosen[what] = len(self._series), found
        return found

    def at(self, stored: Stored, moment: float) -> tuple[float, float] | None:
        """Time and value of the sample that counts at a moment."""
        number = bisect_right(self._times, moment) - 1
        if number < 0 or self._times[number] < moment - _LOOKBACK:
            return None
        place = number - stored.first
        if not 0 <= place < len(stored.values) or math.isnan(stored.values[place]):
            return None
        return self._times[number], stored.values[place]

    def between(self, stored: Stored, start: float, end: float) -> Iterator[tuple[float, float]]:
        """Times and values after `start`, up to and with `end`."""
        low = max(bisect_right(self._times, start), stored.first)
        high = min(bisect_right(self._times, end), stored.first + len(stored.values))
        for number in range(low, high):
            value = stored.values[number - stored.first]
            if not math.isnan(value):
                yield self._times[number], value
