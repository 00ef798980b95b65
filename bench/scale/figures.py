"""From the servers' logs to figures."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from bench.scale.api import AGENT, Json
from bench.scale.rig import USER, Rig
from bench.scale.shops import CANARY, PERIOD, Shop
from bench.scale.usage import Mark
from lab.logs import Request, queries, requests
from rollout.controller.process import TICK

LATE = 1.0
"""A weight that comes so many seconds after its time is late."""
READS = ("get", "list")
LEADER = "leases"


def moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share does not exceed; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, 95th percentile and maximum."""
    return "/".join(f"{percentile(values, share):.{digits}f}" for share in (0.5, 0.95, 1.0))


@dataclass(frozen=True)
class Window:
    """What happened between two marks."""

    before: Mark
    after: Mark
    ours: Sequence[Request]
    """The controller's requests, without open watches and without the leader's Lease."""
    asked: int
    """Queries that Prometheus was asked."""
    ticks: Sequence[int]
    """How many queries each tick of the controller asked that asked any."""
    others: int
    """Requests of everybody else, the bench itself included."""

    @classmethod
    def between(cls, rig: Rig, before: Mark, after: Mark) -> Window:
        """Read the logs."""
        seen = [r for r in requests(rig.lab.audit_log(), before.audited) if before.at <= moment(r.at) < after.at]
        mine = [r for r in seen if r.user == USER]
        ours = [r for r in mine if r.verb != "watch" and r.resource != LEADER]
        asked = queries(rig.query_log, before.asked) if rig.query_log.exists() else []
        inside = [at for at in (moment(query.at) for query in asked) if before.at <= at < after.at]
        ticks = Counter(int(at / TICK) for at in inside)
        return cls(before, after, ours, len(inside), sorted(ticks.values()), len(seen) - len(mine))

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.after.at - self.before.at

    def cpu(self, program: str) -> float:
        """Seconds of CPU that a program used."""
        return self.after.cpu[program] - self.before.cpu[program]

    @property
    def other_work(self) -> float:
        """Seconds of CPU a minute that the machine spent on what is not in the table."""
        spent = self.after.machine - self.before.machine
        return 60 * (spent - sum(self.cpu(program) for program in self.after.cpu)) / self.seconds

    def kinds(self) -> Counter[str]:
        """Requests by verb and resource."""
        return Counter(f"{r.verb} {r.resource}" for r in self.ours)


def weights(rig: Rig, since: int) -> dict[tuple[str, str], list[float]]:
    """When each VirtualService was written by the controller: the pin, then every weight."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for r in requests(rig.lab.audit_log(), since):
        if r.user == USER and r.verb == "patch" and r.resource == "virtualservices" and r.code < 300:
            found[r.namespace, r.name].append(moment(r.at))
    return found


def ready(rig: Rig, since: int) -> dict[tuple[str, str], float]:
    """When the last pod of each candidate became ready, as far as the kubelet's last write tells."""
    found: dict[tuple[str, str], float] = {}
    for r in requests(rig.lab.audit_log(), since):
        name, candidate, _ = r.name.partition(f"{CANARY}-")
        if candidate and r.resource.partition("/")[0] == "pods" and r.verb == "patch" and r.code < 300:
            found[r.namespace, name] = moment(r.at)
    return found


def triggered(rig: Rig, since: int) -> dict[tuple[str, str], float]:
    """When each Deployment was asked to run the new version."""
    return {
        (r.namespace, r.name): moment(r.at)
        for r in requests(rig.lab.audit_log(), since)
        if r.agent == AGENT and r.verb == "patch" and r.resource == "deployments"
    }


def gaps(written: Iterable[Sequence[float]], window: Window) -> list[float]:
    """Seconds between two weights of one shop, where the second one is in the window; the pin does not count."""
    return [
        later - earlier
        for times in written
        for earlier, later in pairwise(times[1:])
        if window.before.at <= later < window.after.at
    ]


def on_time(found: Sequence[float]) -> float:
    """Share of the weights that were not late."""
    return sum(gap <= PERIOD + LATE for gap in found) / len(found) if found else math.nan


@dataclass
class Rollbacks:
    """How the bad ones got home."""

    latency: list[float] = field(default_factory=list)
    """Seconds from the first scrape that showed errors to the write that took the traffic home."""
    acting: list[float] = field(default_factory=list)
    """Seconds from the look that decided to that write."""
    missing: list[str] = field(default_factory=list)
    """Victims that were not rolled back."""
    innocent: list[str] = field(default_factory=list)
    """Others that were."""


def rollbacks(
    runs: Iterable[Json], victims: Iterable[Shop], written: Mapping[tuple[str, str], Sequence[float]], began: float
) -> Rollbacks:
    """Match the runs that failed with what was written."""
    result, bad = Rollbacks(), {(shop.namespace, shop.name) for shop in victims}
    for run in runs:
        key = (run["metadata"]["namespace"], run["spec"]["plan"])
        failed = (run.get("status") or {}).get("state", {}).get("failed")
        if key not in bad:
            result.innocent += [f"{key[1]}: {failed['message']}"] if failed else []
            continue
        home = [at for at in written.get(key, ()) if failed and at >= failed["at"]]
        if not home:
            result.missing.append(key[1])
            continue
        result.latency.append(home[0] - began)
        result.acting.append(home[0] - failed["at"])
    return result


def told(runs: Iterable[Json]) -> dict[tuple[str, str], int]:
    """How many weights each run says that it has set."""
    return {
        (run["metadata"]["namespace"], run["spec"]["plan"]): sum(
            note["reason"] == "WeightSet" for note in (run.get("status") or {}).get("state", {}).get("notes", ())
        )
        for run in runs
    }
