"""Imagined traffic: how much of it, how much of that is bad, what happens on the way; and stories drawn from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rollout.decide.evidence.burst import MINUTE, Bursts, factor, follow, watch
from rollout.decide.evidence.inferiority import Past, history
from rollout.decide.evidence.power import Schedule
from rollout.decide.evidence.sampling import Table, Tables, Uniform

HISTORY: Final = 1800.0
"""Seconds of the primary's traffic before the first look, where its metrics are as old."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A dependency fails for a while: both arms have this share of bad requests. Seconds from the first traffic."""

    begin: float
    end: float
    share: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests to both arms, and how many of them are bad."""

    rate: float
    """Requests/s to both arms together."""
    base: float
    """Share of bad requests of the primary, and of a sound candidate."""
    regression: float = 0.0
    """How much larger the candidate's share is; 0.01 is one percentage point."""
    since: float = 0.0
    """Seconds from the first traffic until it is."""
    burst: float = 1.0
    """Mean size of the clusters that bad requests come in."""
    lasting: int = 1
    """Looks over which a cluster is spread evenly."""
    pods: int = 5
    """Pods of the primary."""
    incident: Incident | None = None
    history: float = HISTORY
    """Seconds of it before the first look that the burst factor is drawn from."""

    def known(self) -> Past:
        """What its history says, once there is half an hour of it."""
        requests = HISTORY * self.rate
        return history(requests, requests * self.base)

    def shares(self, at: float) -> tuple[float, float]:
        """Shares of bad requests of canary and primary at a moment, in seconds from the first traffic."""
        hit = self.incident is not None and self.incident.begin <= at < self.incident.end
        base = self.incident.share if self.incident is not None and hit else self.base
        return min(base + (self.regression if at >= self.since else 0.0), 1.0), base


@dataclass(frozen=True, slots=True)
class Expected:
    """One look: when it ends, and the requests that it sees."""

    at: float
    canary: int
    primary: int


def expected(schedule: Schedule, rate: float) -> list[Expected]:
    """The looks of a schedule that have requests in both arms; fractions of requests are carried into the next one."""
    looks, canary, primary = [], 0.0, 0.0
    for at, weight in schedule.looks():
        seen = math.floor(canary), math.floor(primary)
        # rounded because sums of fractions end a little beside whole numbers
        canary = round(canary + rate * schedule.every * weight, 6)
        primary = round(primary + rate * schedule.every * (1 - weight), 6)
        looks.append(Expected(at, math.floor(canary) - seen[0], math.floor(primary) - seen[1]))
    return [look for look in looks if look.canary and look.primary]


class Counted(NamedTuple):
    """Bad requests of one look in both arms, and the burst factor as it is known after it."""

    canary: int
    primary: int
    phi: float


@dataclass(frozen=True, slots=True)
class _Pod:
    """What a pod, or the canary, does in a look."""

    requests: int
    bad: Table


class _Lasting:
    """Bad requests that come as they are drawn, or over the next few looks."""

    def __init__(self, uniform: Uniform, looks: int) -> None:
        self._uniform, self._looks, self._due = uniform, looks, [0] * looks

    def draw(self, pod: _Pod) -> int:
        """The bad requests of a look."""
        drawn = pod.bad.draw(self._uniform)
        if self._looks == 1:
            return drawn
        for _ in range(drawn):
            self._due[int(self._uniform.random() * self._looks)] += 1
        self._due.append(0)
        return min(self._due.pop(0), pod.requests)


class Stories:
    """Draws what the looks of a schedule count."""

    def __init__(self, schedule: Schedule, traffic: Traffic, uniform: Uniform) -> None:
        self._uniform, self._tables, self._traffic = uniform, Tables(), traffic
        middle = schedule.every / 2
        self._looks = [
            (look.at, *self._arms(look, *traffic.shares(look.at - middle))) for look in expected(schedule, traffic.rate)
        ]
        self._minute = max(1, round(MINUTE / schedule.every))
        self._before = self._pods(math.floor(traffic.rate * schedule.every), traffic.base)
        self._times = [-schedule.every * n for n in range(int(traffic.history / schedule.every), 0, -1)]

    def tell(self, phi: float | None = None) -> Iterator[Counted]:
        """One story, look by look. `phi`: a known burst factor; else it is estimated from the primary's pods."""
        uniform = self._uniform
        if phi is not None:
            for _, canary, primary, _ in self._looks:
                yield Counted(canary.bad.draw(uniform), primary.draw(uniform), phi)
            return
        arms = [_Lasting(uniform, self._traffic.lasting) for _ in range(self._traffic.pods + 1)]
        bursts, own, last = self._past(arms), (0.0, 0.0), None
        for at, canary, _, pods in self._looks:
            counts = [(pod.requests, arm.draw(pod)) for pod, arm in zip(pods, arms, strict=False)]
            bursts = watch(bursts, counts, at)
            now = (canary.requests, arms[-1].draw(canary))
            own = follow(own, last, now) if last is not None else own
            yield Counted(now[1], sum(bad for _, bad in counts), factor(bursts, own).phi)
            last = now

    def _past(self, arms: Sequence[_Lasting]) -> Bursts:
        """What the primary's pods did before, by the minute."""
        bursts = Bursts()
        for start in range(0, len(self._times), self._minute):
            times = self._times[start : start + self._minute]
            pods = zip(self._before, arms, strict=False)
            counts = [(pod.requests * len(times), sum(arm.draw(pod) for _ in times)) for pod, arm in pods]
            bursts = watch(bursts, counts, times[0])
        return bursts

    def _arms(self, look: Expected, canary: float, primary: float) -> tuple[_Pod, Table, list[_Pod]]:
        burst = self._traffic.burst
        return (
            _Pod(look.canary, self._tables.of(look.canary, canary, burst)),
            self._tables.of(look.primary, primary, burst),
            self._pods(look.primary, primary),
        )

    def _pods(self, requests: int, share: float) -> list[_Pod]:
        """Requests divided over the primary's pods, as evenly as whole numbers are."""
        count = self._traffic.pods
        sizes = [requests * (i + 1) // count - requests * i // count for i in range(count)]
        return [_Pod(size, self._tables.of(size, share, self._traffic.burst)) for size in sizes]
