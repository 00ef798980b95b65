"""The lease of a run: who drives it.  A courtesy to people and engines; safety comes from guarded writes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from rollout.errors import AlreadyExists, Conflict, NotFound, Terminal
from rollout.plan.base import RUN_LABEL, Json, epoch
from rollout.plan.kinds import LEASE, PLAN_RUN, Ref, ref_of
from rollout.ports.clock import Clock
from rollout.ports.cluster import Guard, guard_of
from rollout.ports.world import World

DURATION: Final = 15
"""Seconds after its last renewal that a lease is somebody else's for the taking."""
RENEW: Final = 5.0
"""Seconds between renewals."""


class DrivenElsewhere(Terminal):
    """Another engine drives the run."""


def micro_time(moment: float) -> str:
    """A time as Kubernetes' MicroTime: always six digits."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class Vigil:
    """How long leases have not changed while we looked: the clock of whoever renews them need not be believed."""

    clock: Clock
    least: float = 0.0
    """Seconds that a lease lasts at least, whatever its holder wrote."""
    _seen: dict[Ref, tuple[str, float]] = field(default_factory=dict)
    """By lease: its version, and since when we know it."""

    def left(self, lease: Json) -> float:
        """Seconds until its holder may be taken for dead; 0 when it has not changed for its whole duration."""
        # the time after the answer: a read may be on its way for longer than a lease lasts
        meta, now = lease["metadata"], self.clock.monotonic()
        ref, version = ref_of(lease), f"{meta['uid']}/{meta['resourceVersion']}"
        if self._seen.get(ref, ("", 0.0))[0] != version:
            self._seen[ref] = (version, now)
        lasts = max(self.least, float((lease.get("spec") or {}).get("leaseDurationSeconds") or DURATION))
        return max(0.0, self._seen[ref][1] + lasts - now)

    def forget(self, lease: Ref) -> None:
        """It is gone."""
        self._seen.pop(lease, None)


@dataclass(slots=True)
class RunLease:
    """Our hold on one run."""

    world: World
    namespace: str
    run: str
    uid: str
    renewed: float = -math.inf
    """When we wrote it last, monotonic."""
    ours: Guard | None = None
    """The object that we hold."""
    vigil: Vigil = field(init=False)

    def __post_init__(self) -> None:
        self.vigil = Vigil(self.world.clock)

    @property
    def ref(self) -> Ref:
        """The Lease object; it has the run's name."""
        return Ref(LEASE, self.namespace, self.run)

    async def hold(self) -> None:
        """Take the lease, or renew it when that is due.

        Raises:
            DrivenElsewhere: somebody else holds it and is alive.
        """
        now = self.world.clock.monotonic()
        if now - self.renewed < RENEW:
            return
        found = await self.world.cluster.get(self.ref)
        try:
            held = await (self._create() if found is None else self._take(found))
        except Conflict as error:
            raise self._lost() from error
        self.renewed, self.ours = now, Guard(guard_of(held).uid)

    async def _create(self) -> Json:
        try:
            return await self.world.cluster.create(self._object())
        except AlreadyExists as error:
            found = await self.world.cluster.get(self.ref)
            if found is None or found["spec"].get("holderIdentity") != self.world.identity:
                raise self._lost() from error
            return found  # our own: the answer to an earlier try was lost

    def _lost(self) -> DrivenElsewhere:
        return DrivenElsewhere(f"another engine has just taken {self.run}", hint="follow it: rollout watch")

    async def _take(self, found: Json) -> Json:
        holder = found["spec"].get("holderIdentity", "")
        if holder != self.world.identity and self.vigil.left(found) > 0:
            raise DrivenElsewhere(f"{self.run} is driven by {holder}", hint="follow it: rollout watch")
        spec = self._object()["spec"]
        ops = [{"op": "replace", "path": "/spec", "value": spec}]
        try:
            return await self.world.cluster.patch(self.ref, ops, guard_of(found))
        except NotFound:
            return await self._create()

    async def release(self) -> None:
        """Give it up: the object that we hold goes away.

        Raises:
            Conflict: it is still there and still ours; try again.
        """
        if self.ours is None:
            return
        try:
            await self.world.cluster.delete(self.ref, self.ours)
        except Conflict:
            found = await self.world.cluster.get(self.ref)
            if found is None or guard_of(found).uid == self.ours.uid:
                raise
        except NotFound:
            pass  # somebody was faster
        self.ours, self.renewed = None, -math.inf

    def _object(self) -> Json:
        owner = {"apiVersion": PLAN_RUN.api_version, "kind": PLAN_RUN.name, "name": self.run, "uid": self.uid}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {
                "name": self.run,
                "namespace": self.namespace,
                "labels": {RUN_LABEL: self.run},
                "ownerReferences": [owner],
            },
            "spec": {
                "holderIdentity": self.world.identity,
                "leaseDurationSeconds": DURATION,
                "renewTime": micro_time(self.world.clock.now()),
            },
        }


def alive(lease: Json, now: float) -> bool:
    """Whether the lease's holder has renewed it in time, as its words say: for who looks once, and only tells."""
    spec = lease["spec"]
    renewed = spec.get("renewTime")
    return bool(renewed) and now - epoch(renewed) <= spec.get("leaseDurationSeconds", DURATION)
