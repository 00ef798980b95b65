"""Which event a channel tells next: of all its runs the one that waits longest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rollout.decide.turn import NOTES
from rollout.errors import Forbidden
from rollout.notify import ledger as books
from rollout.notify.happenings import Happening, happenings, is_over
from rollout.notify.select import Next, covers, following
from rollout.plan.base import Json
from rollout.plan.channel import ChannelSpec, Ledger, Told
from rollout.plan.kinds import PLAN_RUN, Ref, ref_of
from rollout.ports.cluster import Cluster

BEHIND: Final = NOTES // 2
"""Events that are of no interest are done with, in writing, when they are so many: what has left a run's story without
that was not looked at."""


@dataclass(slots=True)
class Box:
    """What is known of one channel between its turns. Nothing here has to survive."""

    ref: Ref
    made: tuple[str, int] = ("", 0)
    """UID and generation of the channel that this is about."""
    spec: ChannelSpec | None = None
    open: set[Ref] | None = None
    """Runs that may have news; None before they have been looked through."""
    failures: int = 0
    unsent: tuple[str, int] = ("", 0)
    """Run and event of a message that certainly did not arrive, although it is written down as being sent."""
    arrived: tuple[str, int, str] = ("", 0, "")
    """Run, event and thread of one that certainly did, although that is not written down."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The event that is next."""

    run: Json
    event: Happening
    next: Next
    told: Told
    """The run's line in the ledger, as it is or as it would be."""
    opens: bool
    """First the run's thread has to be opened."""

    @property
    def key(self) -> tuple[str, int]:
        """Run and number of the message."""
        return self.told.uid, 0 if self.opens else self.event.seq


@dataclass(frozen=True, slots=True)
class Choice:
    """What a look at all runs found."""

    chosen: Chosen | None
    wait: float
    """Seconds until there is something to tell; infinity when something has to happen first."""
    waiting: tuple[float, ...]
    """When the first event happened that is not told yet, of each run that has one."""
    passed: tuple[tuple[Told, int], ...] = ()
    """The lines of runs of which nothing is left to tell and that is worth writing down; and how much came too late."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where there may be runs to tell of."""

    home: str = ""
    """The controller's namespace; empty where there is none."""
    namespaces: tuple[str, ...] = ()
    """The namespaces that it looks after; all when there are none."""


TERMINAL: Final = Reach()
"""Of an engine that drives a run where there is no controller."""


async def choose(
    cluster: Cluster, box: Box, spec: ChannelSpec, ledger: Ledger, now: float, *, reach: Reach, threaded: bool
) -> Choice:
    """Look at the runs that may have news; those that have none are looked at again when something happens."""
    found: list[tuple[Json, Next]] = []
    passed: list[tuple[Told, int]] = []
    for run in await _runs(cluster, box, spec, reach):
        events = happenings(run)
        uid = run["metadata"]["uid"]
        done = books.position(ledger, uid, events)
        next_ = following(spec, events, done, now)
        if next_.happening is not None:
            found.append((run, next_))
        elif next_.too_late or next_.done - done >= BEHIND:
            line = books.line(ledger, uid) or Told(uid)
            passed.append((replace(line, seq=next_.done, sending=None), next_.too_late))
        elif box.open is not None:
            box.open.discard(ref_of(run))
    waiting = tuple(next_.happening.at for _, next_ in found if next_.happening)
    if not found:
        return Choice(None, math.inf, waiting, tuple(passed))
    run, first = min(found, key=lambda it: (it[1].at, it[1].happening.at if it[1].happening else 0.0))
    if first.at > now or first.happening is None:
        return Choice(None, first.at - now, waiting, tuple(passed))
    uid = run["metadata"]["uid"]
    told = books.line(ledger, uid) or Told(uid, first.done)
    return Choice(Chosen(run, first.happening, first, told, threaded and not told.thread), 0.0, waiting)


async def _runs(cluster: Cluster, box: Box, spec: ChannelSpec, reach: Reach) -> list[Json]:
    if box.open is None:
        runs, _ = await covered(cluster, box.ref, spec, reach)
        box.open = {ref_of(run) for run in runs}
        return runs
    found = [(ref, await cluster.get(ref)) for ref in sorted(box.open)]
    box.open -= {ref for ref, run in found if run is None}
    return [run for _, run in found if run is not None]


async def covered(cluster: Cluster, channel: Ref, spec: ChannelSpec, reach: Reach) -> tuple[list[Json], bool]:
    """All runs that a channel tells of, and whether they are all: another namespace may be unreadable for a while."""
    own = spec.events.namespaces in ((), (channel.namespace,))
    found: list[Json] = []
    complete = True
    for namespace in (channel.namespace,) if own else reach.namespaces or ("",):
        try:
            found += await cluster.list(PLAN_RUN, namespace)
        except Forbidden:
            if own:
                raise
            complete = False
    runs = [
        run
        for run in found
        if covers(spec, channel.namespace, reach.home, ref_of(run), str(run["spec"].get("plan", "")))
    ]
    return runs, complete


def ends(runs: list[Json]) -> Mapping[str, float]:
    """By their UIDs the moment of the last event of those that are over, infinity for the others."""
    return {run["metadata"]["uid"]: _end(run) for run in runs}


def _end(run: Mapping[str, Any]) -> float:
    return max((it.at for it in happenings(run)), default=0.0) if is_over(run) else math.inf
