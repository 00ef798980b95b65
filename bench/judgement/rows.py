"""The rows of the table: what the traffic is like, at which rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rollout.decide.evidence.traffic import Incident, Traffic

ALL = (1, 10, 100)


@dataclass(frozen=True)
class Row:
    """One kind of traffic. The rate of `checks` is filled in."""

    name: str
    checks: tuple[Traffic, ...]
    """One for each metric that is watched."""
    sound: bool = True
    """Nothing is wrong with the candidate: every rejection is a false one."""
    rates: tuple[int, ...] = ALL
    """The canary's requests/s at 10 %."""
    phi: float | None = None
    """A burst factor that is taken for granted; else it is estimated, as in a real run."""

    def at(self, rate: int) -> tuple[Traffic, ...]:
        """The traffic at one rate."""
        return tuple(replace(check, rate=10.0 * rate) for check in self.checks)


def rows() -> Iterator[Row]:
    """All of them: sound candidates first."""
    yield from _sound()
    yield from _bad()


def _sound() -> Iterator[Row]:
    for percent in (0.1, 0.5, 0.9, 2.0):
        yield Row(f"errors {percent} %", (_traffic(percent),))
    for percent in (0.3, 0.6):
        yield Row(f"slower than 500 ms {percent} %", (_traffic(percent),))
    yield Row("errors 0.5 %, slow 0.6 %", (_traffic(0.5), _traffic(0.6)), rates=(1, 10))
    for burst in (5.0, 20.0, 50.0):
        bursty = (replace(_traffic(0.5), burst=burst),)
        yield Row(f"errors 0.5 % in bursts of {burst:.0f}", bursty)
        young = (replace(bursty[0], history=0.0),)
        yield Row(f"errors 0.5 % in bursts of {burst:.0f}, no past known", young)
        yield Row(f"errors 0.5 % in bursts of {burst:.0f}, without burst factor", bursty, phi=1.0)
    for burst in (5.0, 20.0):
        slow = (replace(_traffic(0.5), burst=burst, lasting=4),)
        yield Row(f"errors 0.5 %, bursts of {burst:.0f} that last a minute", slow)
        yield Row(f"errors 0.5 %, bursts of {burst:.0f} that do, no past known", (replace(slow[0], history=0.0),))
    for minutes in (3, 5):
        incident = Incident(120, 120 + 60 * minutes, 0.05)
        common = (replace(_traffic(0.1), incident=incident),)
        yield Row(f"errors 0.1 %, incident in both arms 5 % for {minutes} min", common, rates=(1, 10))


def _bad() -> Iterator[Row]:
    for percent, points in (
        *((0.1, points) for points in (0.5, 1, 5, 20)),
        *((0.5, points) for points in (1, 2, 5)),
    ):
        yield Row(f"errors {percent} % + {points}", (_traffic(percent, points),), sound=False)
    yield Row("slower than 500 ms 0.5 % + 1", (_traffic(0.5, 1),), sound=False)
    for percent in (0.1, 1.0):
        late = (replace(_traffic(percent, 1), since=300),)
        yield Row(f"errors {percent} % + 1 from minute 5 on", late, sound=False)
    yield Row("errors 0.5 % + 5, bursts of 5", (replace(_traffic(0.5, 5), burst=5),), sound=False)
    for percent, points, burst in ((0.1, 1, 1.0), (0.5, 1, 1.0), (0.5, 5, 5.0)):
        young = (replace(_traffic(percent, points), burst=burst, history=0.0),)
        name = f"errors {percent} % + {points}" + (f", bursts of {burst:.0f}" if burst > 1 else "")
        yield Row(f"{name}, no past known", young, sound=False, rates=(1, 10))


def _traffic(percent: float, points: float = 0.0) -> Traffic:
    return Traffic(0.0, percent / 100, points / 100)
