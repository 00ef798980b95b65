"""Which controller acts: a Lease that is renewed in time, and a fence that closes before it runs out.

Whether another's lease has run out is judged by our own monotonic clock and by whether the object changes, never by
comparing wall clocks.  A leader that was stopped finds its fence closed when it wakes; what was already on its way
then fails at the guards of the writes.  The elector of the Kubernetes client is not used: it keeps leading through a
frozen API server and dies of a refused connection.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.lease import alive, micro_time
from rollout.errors import AlreadyExists, Conflict, NotFound, Retry, RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import LEASE, Ref
from rollout.ports.clock import Clock
from rollout.ports.cluster import Cluster, guard_of
from rollout.ports.world import World

NAME: Final = "rollout-controller"
"""The leader's Lease, in the controller's namespace."""
HOME: Final = "rollout-system"
"""Where a controller is installed unless somebody says otherwise."""
SERVES: Final = "meshrollout.dev/namespaces"
"""Annotation of the Lease: the namespaces that its holder looks after, or `*`."""
DURATION: Final = 15.0
"""Seconds without a renewal until others may take over."""
FENCE: Final = 10.0
"""Seconds after the start of the last good renewal until we stop writing; well before others may begin."""
RENEW: Final = 3.0
"""Seconds between tries to take or to renew it."""


class NotLeading(Retry):
    """A write of a controller that does not lead, or cannot be sure that it still does."""


@dataclass(slots=True)
class Leader:
    """One candidate for the Lease."""

    cluster: Cluster
    clock: Clock
    identity: str
    namespace: str = HOME
    serves: str = "*"
    _until: float = -math.inf
    """Until when, on the monotonic clock, we may write."""
    _seen: tuple[str, float] = ("", 0.0)
    """The version of another's Lease, and since when we have seen it unchanged."""
    _random: random.Random = field(default_factory=random.Random)

    @property
    def ref(self) -> Ref:
        """The Lease."""
        return Ref(LEASE, self.namespace, NAME)

    @property
    def leading(self) -> bool:
        """Whether we may write."""
        return self.clock.monotonic() < self._until

    def fence(self) -> None:
        """Let a write pass.

        Raises:
            NotLeading: it must not be sent.
        """
        if not self.leading:
            raise NotLeading("this controller does not lead", after=RENEW)

    async def campaign(self) -> float:
        """Take or renew the Lease if that is possible; the seconds until this should be called again.

        Raises:
            RolloutError: the API server refuses; an outage is no error, the fence closes by itself.
        """
        began = self.clock.monotonic()
        try:
            if await self._hold(began):
                self._until = began + FENCE
        except Retry:
            return self._pause(0.5)
        return self._pause(1.0)

    def _pause(self, share: float) -> float:
        return RENEW * share * self._random.uniform(0.8, 1.2)

    async def _hold(self, now: float) -> bool:
        found = await self.cluster.get(self.ref)
        if found is None:
            return await self._create()
        spec = found["spec"]
        holder = spec.get("holderIdentity") or ""
        if holder and holder != self.identity and not self._ran_out(found, now):
            self._until = -math.inf
            return False
        ops: list[Json] = [{"op": "replace", "path": "/spec", "value": self._spec(spec, holder)}]
        if self._notes(found).get(SERVES) != self.serves:
            ops.append({"op": "add", "path": "/metadata/annotations", "value": self._notes(found) | self._annotations})
        try:
            await self.cluster.patch(self.ref, ops, guard_of(found))
        except (Conflict, NotFound):
            return False
        return True

    def _ran_out(self, found: Json, now: float) -> bool:
        """Whether it has not changed for its whole duration, while we were looking."""
        version = str(found["metadata"]["resourceVersion"])
        if version != self._seen[0]:
            self._seen = (version, now)
        return now - self._seen[1] >= float(found["spec"].get("leaseDurationSeconds") or DURATION)

    async def _create(self) -> bool:
        obj = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": NAME, "namespace": self.namespace, "annotations": self._annotations},
            "spec": self._spec({}, ""),
        }
        try:
            await self.cluster.create(obj)
        except AlreadyExists:
            return False
        return True

    def _spec(self, before: Json, holder: str) -> Json:
        moment = micro_time(self.clock.now())
        ours = holder == self.identity
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": before.get("acquireTime", moment) if ours else moment,
            "renewTime": moment,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if ours or not before else 1),
        }

    @property
    def _annotations(self) -> dict[str, str]:
        return {SERVES: self.serves}

    @staticmethod
    def _notes(found: Json) -> dict[str, str]:
        return dict(found["metadata"].get("annotations") or {})

    async def release(self) -> None:
        """Stop writing, and let another take over at once."""
        led, self._until = self.leading, -math.inf
        if not led:
            return
        try:
            found = await self.cluster.get(self.ref)
            if found is not None and found["spec"].get("holderIdentity") == self.identity:
                spec = {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self.cluster.patch(self.ref, [{"op": "replace", "path": "/spec", "value": spec}], guard_of(found))
        except RolloutError:
            return  # it runs out by itself


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller as others see it."""

    identity: str
    namespaces: tuple[str, ...]
    """The namespaces that it looks after; empty means all."""
    alive: bool

    def serves(self, namespace: str) -> bool:
        """Whether it is alive and looks after a namespace."""
        return self.alive and (not self.namespaces or namespace in self.namespaces)


async def find(world: World, namespace: str = HOME) -> Controller | None:
    """The controller that leads, as its Lease in `namespace` says; None when there is none, or we may not look.

    Here wall clocks are compared: a person's terminal looks once, and what it decides is safe either way.
    """
    try:
        found = await world.cluster.get(Ref(LEASE, namespace, NAME))
    except RolloutError:
        return None
    if found is None or not found["spec"].get("holderIdentity"):
        return None
    served = (found["metadata"].get("annotations") or {}).get(SERVES, "*")
    names = () if served == "*" else tuple(served.split(","))
    return Controller(found["spec"]["holderIdentity"], names, alive(found, world.clock.now()))
