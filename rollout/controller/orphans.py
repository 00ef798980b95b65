"""What a write whose answer was lost left behind, when its run is over or never was: found by its label, and removed.

Such a write can arrive after the run's last look: from a controller that was stopped in the middle of it, or from a
proxy that sends it late.  Candidates are known from the watches; only for one whose run seems to be over the API
server is asked, so that nothing is asked at rest.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.due import Due
from rollout.errors import NotFound, RolloutError
from rollout.plan.base import RUN_LABEL, RUN_UID, Json
from rollout.plan.kinds import DEPLOYMENT, PLAN_RUN, Kind, Ref, kind_of, ref_of
from rollout.ports.cluster import Cluster, guard_of

GRACE: Final = 30.0
"""Seconds between a change of a run or of an object of its and the look for orphans."""
RunKey = tuple[str, str]
"""Namespace and name of a run, which may be gone."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Orphans:
    """Finds and removes objects of runs that are over.

    `known` is read from memory and writes through the fence; `live` asks the API server itself, for what is missing in
    our memory may only be new.
    """

    known: Cluster
    live: Cluster
    kinds: Collection[Kind]
    """What runs create."""
    due: Due[RunKey] = field(default_factory=Due)

    def notice(self, obj: Json, now: float) -> None:
        """Something came, changed or went; `now` is monotonic."""
        meta, kind = obj["metadata"], kind_of(obj)
        if kind == PLAN_RUN:
            self.due.push((meta["namespace"], meta["name"]), now + GRACE)
        elif kind in self.kinds and _marked(obj):
            self.due.push((meta["namespace"], meta["labels"][RUN_LABEL]), now + GRACE)

    async def sweep(self, key: RunKey, now: float) -> None:
        """Delete what carries the label of this run and is not of a run under way. What is refused is tried again."""
        try:
            left = await self._of(key)
            if left and await self._over(self.known, key, left):
                for obj in await self._over(self.live, key, left):
                    log.warning("removes what a run left behind", extra={"object": str(ref_of(obj)), "run": key[1]})
                    with suppress(NotFound):
                        foreground = kind_of(obj) == DEPLOYMENT
                        await self.known.delete(ref_of(obj), guard_of(obj), foreground=foreground)
        except RolloutError as error:
            log.info("could not sweep", extra={"run": key[1], "namespace": key[0], "error": str(error)})
            self.due.push(key, now + GRACE)

    async def _of(self, key: RunKey) -> list[Json]:
        namespace, run = key
        kinds = [kind for kind in self.kinds if await self.known.serves(kind)]
        found = [obj for kind in kinds for obj in await self.known.list(kind, namespace, {RUN_LABEL: run})]
        return [obj for obj in found if _marked(obj) and "deletionTimestamp" not in obj["metadata"]]

    @staticmethod
    async def _over(cluster: Cluster, key: RunKey, objects: list[Json]) -> list[Json]:
        """Those of the objects whose run has ended, is gone, or was an earlier one of the same name."""
        run = await cluster.get(Ref(PLAN_RUN, *key))
        if run is None or (run.get("status") or {}).get("endedAt"):
            return objects
        return [obj for obj in objects if obj["metadata"]["annotations"][RUN_UID] != run["metadata"]["uid"]]


def _marked(obj: Json) -> bool:
    """Whether a run made it."""
    meta = obj["metadata"]
    return RUN_LABEL in (meta.get("labels") or {}) and RUN_UID in (meta.get("annotations") or {})
