"""The garbage collector of the in-memory cluster: dependents go with their owners."""

from __future__ import annotations

from rollout.adapters.memory.apiserver import FOREGROUND, ApiServer
from rollout.plan.base import Json
from rollout.plan.kinds import POD, ref_of
from rollout.ports.cluster import guard_of


class Collector:
    """Deletes what has lost its owners, and ends foreground deletions."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._objects = server.objects

    def sync(self) -> None:
        """One look at every object that has owners or waits for dependents."""
        leaving: dict[str, Json] = {}
        alive: set[str] = set()
        owned: list[Json] = []
        for _, obj in self._objects:
            meta = obj["metadata"]
            if FOREGROUND in meta.get("finalizers", ()):
                leaving[meta["uid"]] = obj
            else:
                alive.add(meta["uid"])
            if meta.get("ownerReferences"):
                owned.append(obj)
        blocked: set[str] = set()
        for obj in owned:
            owners = {
                owner["uid"]: owner.get("blockOwnerDeletion", False) for owner in obj["metadata"]["ownerReferences"]
            }
            blocked |= {uid for uid, blocks in owners.items() if blocks and uid in leaving}
            if not owners.keys() & alive:
                waits = any(uid in leaving for uid in owners)
                self._server.delete(ref_of(obj), guard_of(obj), foreground=waits and ref_of(obj).kind != POD)
        for uid, obj in leaving.items():
            if uid not in blocked:
                self._finish(obj)

    def _finish(self, obj: Json) -> None:
        meta = obj["metadata"]
        rest = [finalizer for finalizer in meta["finalizers"] if finalizer != FOREGROUND]
        if rest:
            self._objects.put({**obj, "metadata": {**meta, "finalizers": rest}})
        else:
            self._objects.remove(ref_of(obj))
