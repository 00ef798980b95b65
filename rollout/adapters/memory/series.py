"""Time series of the in-memory world: what a Prometheus has stored, sampled over simulated time.

A sample is taken of everything at the same moments, as if one scrape saw all targets.  A series that is not there at
one of them has a gap; at the newest, it is gone, as after a staleness marker.
"""

from __future__ import annotations

import math
import operator
from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

NAME: Final = "__name__"
_LOOKBACK: Final = 300.0
"""A sample that is older is not what there is now."""
_GAP: Final = math.nan
EDGES: Final = (0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Histogram edges of Istio's request duration, seconds."""

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

    def value(self, number: int) -> float:
        """Of one sample; not a number where there is a gap."""
        place = number - self.first
        return self.values[place] if 0 <= place < len(self.values) else _GAP


@dataclass(slots=True)
class Derived:
    """One series of a histogram, computed when somebody asks: storing every bucket takes ten times as long."""

    labels: Mapping[str, str]
    """With the metric's name."""
    parts: Sequence[tuple[float, Stored]]
    """Durations, and how many there were of each."""
    weigh: Callable[[float], float]
    """What one of a duration counts."""

    def value(self, number: int) -> float:
        """Of one sample; not a number where there is a gap."""
        found = [(self.weigh(seconds), stored.value(number)) for seconds, stored in self.parts]
        known = [weight * value for weight, value in found if not math.isnan(value)]
        return sum(known) if known else _GAP


Series = Stored | Derived


class Key:
    """Names one series to a store, again and again: whoever keeps it saves the store from looking.

    With `seconds` it counts how many took so long, and is a part of the histogram of that name.
    """

    __slots__ = ("labels", "name", "place", "seconds")

    def __init__(self, name: str, labels: Labels, seconds: float | None = None) -> None:
        self.name = name
        self.labels = labels
        self.seconds = seconds
        self.place: Stored | None = None


class SeriesStore:
    """All series by name."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        """Seconds between two samples; change it before time passes."""
        self._times: array[float] = array("d")
        self._series: dict[tuple[str, Labels], Series] = {}
        self._stored: dict[tuple[str, Labels, float | None], Stored] = {}
        self._parts: dict[tuple[str, Labels], list[tuple[float, Stored]]] = {}
        self._chosen: dict[Hashable, tuple[int, list[Series]]] = {}
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
        whole = key.name, key.labels, key.seconds
        known = self._stored.get(whole)
        if known is None:
            known = self._stored[whole] = Stored({NAME: key.name, **dict(key.labels)}, number)
            if key.seconds is None:
                self._series[key.name, key.labels] = known
            else:
                self._join(key, key.seconds, known)
        key.place = known
        return known

    def _join(self, key: Key, seconds: float, stored: Stored) -> None:
        """Make a duration part of its histogram."""
        parts = self._parts.setdefault((key.name, key.labels), [])
        if not parts:
            for made in _histogram(key.name, key.labels, parts):
                self._series[made.labels[NAME], labelled(made.labels)] = made
        parts.append((seconds, stored))

    def choose(self, what: Hashable, fits: Callable[[Mapping[str, str]], bool]) -> Sequence[Series]:
        """The series that fit; for the same `what`, only those that are new are looked at."""
        seen, found = self._chosen.setdefault(what, (0, []))
        if seen < len(self._series):
            found += [it for it in islice(self._series.values(), seen, None) if fits(it.labels)]
            self._chosen[what] = len(self._series), found
        return found

    def at(self, series: Series, moment: float) -> tuple[float, float] | None:
        """Time and value of the sample that counts at a moment."""
        number = bisect_right(self._times, moment) - 1
        if number < 0 or self._times[number] < moment - _LOOKBACK:
            return None
        value = series.value(number)
        return None if math.isnan(value) else (self._times[number], value)

    def between(self, series: Series, start: float, end: float) -> Iterator[tuple[float, float]]:
        """Times and values after `start`, up to and with `end`."""
        for number in range(bisect_right(self._times, start), bisect_right(self._times, end)):
            value = series.value(number)
            if not math.isnan(value):
                yield self._times[number], value


def _histogram(name: str, labels: Labels, parts: Sequence[tuple[float, Stored]]) -> Iterator[Derived]:
    """What a histogram in milliseconds is made of: its buckets, their count, their sum."""
    for edge in (*EDGES, math.inf):
        le = "+Inf" if math.isinf(edge) else f"{edge * 1000:g}"
        yield Derived({NAME: f"{name}_bucket", **dict(labels), "le": le}, parts, partial(_within, edge))
    yield Derived({NAME: f"{name}_count", **dict(labels)}, parts, partial(_within, math.inf))
    yield Derived({NAME: f"{name}_sum", **dict(labels)}, parts, partial(operator.mul, 1000))


def _within(edge: float, seconds: float) -> float:
    return 1.0 if seconds <= edge else 0.0
