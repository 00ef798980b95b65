"""What Prometheus scrapes of applications: in plaintext, and so only where their proxies let that in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rollout.adapters.memory.connection import accepts_plaintext
from rollout.adapters.memory.series import Key, labelled
from rollout.plan.base import Json


def scraped(pods: Iterable[Json], targets: Mapping[str, int], modes: Sequence[Json]) -> Iterator[tuple[Key, float]]:
    """`up` of each pod with a target: 1 where the scrape gets through. `targets`: container ports by `app` label."""
    for pod in pods:
        meta = pod["metadata"]
        port = targets.get((meta.get("labels") or {}).get("app", ""))
        if port is None:
            continue
        labels = labelled({"job": "apps", "namespace": meta["namespace"], "pod": meta["name"]})
        yield Key("up", labels), float(accepts_plaintext(pod, port, modes))
