"""From raw counters of both versions to what one look saw.

Both versions are counted over the same time: the first look only says where the counters begin.  After it a pod of the
candidate that was not seen before was born in this run and counts from zero, so that its first burst of errors is not
lost; one of stable may have been there all along, and counts from its second look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.decide.evidence.counts import Arms
from rollout.decide.seen import Sample
from rollout.plan.evidence import PODS

Counters = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Counted:
    """What one look saw, and where the counters are now."""

    arms: Arms
    pods: tuple[tuple[float, float], ...]
    """Requests and bad ones of each of stable's pods."""
    cursor: Counters
    peers: Counters


def count(sample: Sample, cursor: Counters, peers: Counters, *, pooled: bool = False) -> Counted:
    """The difference to the last look. `pooled`: all pods matter, so that many of them are counted as one."""
    now = bounded(sample.pods, pooled=pooled)
    beside = bounded(sample.peer.pods if sample.peer is not None else {}, pooled=pooled)
    ours = [_more(counters, cursor.get(pod, (0.0, 0.0)), born=True) for pod, counters in now.items()]
    theirs = tuple(_more(counters, peers[pod], born=False) for pod, counters in beside.items() if pod in peers)
    arms = Arms(
        sum(total for total, _ in ours),
        sum(bad for _, bad in ours),
        sum(total for total, _ in theirs),
        sum(bad for _, bad in theirs),
    )
    # a pod that is missing for a moment has not begun anew when it is there again
    kept = {pod: counters for pod, counters in cursor.items() if pod not in now}
    return Counted(arms, theirs, bounded({**now, **kept}), beside)


def bounded(pods: Counters, *, pooled: bool = False) -> Counters:
    """As many pods as are remembered, always the same ones; pooled, all of them as one."""
    if len(pods) <= PODS:
        return dict(pods)
    if pooled:
        return {"": (sum(total for total, _ in pods.values()), sum(bad for _, bad in pods.values()))}
    return {pod: pods[pod] for pod in sorted(pods)[:PODS]}


def _more(now: tuple[float, float], before: tuple[float, float], *, born: bool) -> tuple[float, float]:
    """What came since; counters that fell were reset, and begin at zero where their pod is this run's own."""
    total, bad = now[0] - before[0], now[1] - before[1]
    if 0 <= bad <= total:
        return total, bad
    return (now[0], min(now[1], now[0])) if born else (0.0, 0.0)
