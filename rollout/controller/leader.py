"""Which controller acts: a Lease that is renewed in time, and a fence that closes before it runs out.

Whether another's lease has run out is judged by our own monotonic clock and by whether the object changes, never by
comparing wall clocks.  Who makes a Lease that is missing writes nothing until the fence of whoever held the lost one
has closed; a Lease that names us although we did not take it is treated as another's.  A leader that was stopped finds
its fence closed when it wakes; what was already on its way then fails at the guards of the writes.  The elector of the
Kubernetes client is not used: it keeps leading through a frozen API server and dies of a refused connection.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.lease import Vigil, alive, micro_time
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
RELEASED: Final = 1
"""`leaseDurationSeconds` of a Lease without a holder that was given up in order: its holder had stopped before."""
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
    _from: float = math.inf
    _until: float = -math.inf
    """From when and until when, on the monotonic clock, we may write."""
    _held: tuple[str, str] = ("", "")
    """UID and version of the Lease as we wrote it last; empty when it is not ours."""
    _vigil: Vigil = field(init=False)
    """How long another's Lease has not changed."""
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._vigil = Vigil(self.clock, DURATION)

    @property
    def ref(self) -> Ref:
        """The Lease."""
        return Ref(LEASE, self.namespace, NAME)

    @property
    def leading(self) -> bool:
        """Whether we may write."""
        return self._from <= self.clock.monotonic() < self._until

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
            if await self._hold():
                self._until = began + FENCE
        except Retry:
            return self._pause(0.5)
        return self._pause(1.0)

    def _pause(self, share: float) -> float:
        return RENEW * share * self._random.uniform(0.8, 1.2)

    async def _hold(self) -> bool:
        found = await self.cluster.get(self.ref)
        if found is None:
            self._close()
            return await self._create()
        spec = found.get("spec") or {}
        ours = self._is_ours(found, spec)
        if not ours:
            self._close()
            if not (_given_up(spec) or self._vigil.left(found) == 0):
                return False
        ops: list[Json] = [{"op": "add", "path": "/spec", "value": self._spec(spec)}]
        if self._notes(found).get(SERVES) != self.serves:
            ops.append({"op": "add", "path": "/metadata/annotations", "value": self._notes(found) | self._annotations})
        try:
            written = await self.cluster.patch(self.ref, ops, guard_of(found))
        except (Conflict, NotFound):
            return False
        self._held = _identity(written)
        if not ours:
            self._from = self.clock.monotonic()
        return True

    def _is_ours(self, found: Json, spec: Json) -> bool:
        """Whether nobody else can have held it since we wrote it."""
        uid, version = _identity(found)
        if uid != self._held[0] or spec.get("holderIdentity") != self.identity:
            return False
        return version == self._held[1] or self.clock.monotonic() < self._until

    def _close(self) -> None:
        self._until, self._from, self._held = -math.inf, math.inf, ("", "")

    async def _create(self) -> bool:
        obj = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": NAME, "namespace": self.namespace, "annotations": self._annotations},
            "spec": self._spec({}),
        }
        try:
            written = await self.cluster.create(obj)
        except AlreadyExists:
            return False
        self._held, self._from = _identity(written), self.clock.monotonic() + FENCE
        return True

    def _spec(self, before: Json) -> Json:
        moment = micro_time(self.clock.now())
        ours = before.get("holderIdentity") == self.identity
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
        led, uid = self.leading, self._held[0]
        self._close()
        if not led:
            return
        try:
            found = await self.cluster.get(self.ref)
            spec = (found or {}).get("spec") or {}
            if found is not None and _identity(found)[0] == uid and spec.get("holderIdentity") == self.identity:
                given_up = {**spec, "holderIdentity": "", "leaseDurationSeconds": RELEASED}
                ops = [{"op": "replace", "path": "/spec", "value": given_up}]
                await self.cluster.patch(self.ref, ops, guard_of(found))
        except RolloutError:
            return  # it runs out by itself


def _given_up(spec: Json) -> bool:
    return not spec.get("holderIdentity") and spec.get("leaseDurationSeconds") == RELEASED


def _identity(lease: Json) -> tuple[str, str]:
    return lease["metadata"]["uid"], str(lease["metadata"]["resourceVersion"])


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

    Here times are compared: a person's terminal looks once.  Both are the API server's (`adapters.serverclock`), and
    what follows is safe either way.
    """
    try:
        found = await world.cluster.get(Ref(LEASE, namespace, NAME))
    except RolloutError:
        return None
    if found is None or not (found.get("spec") or {}).get("holderIdentity"):
        return None
    served = (found["metadata"].get("annotations") or {}).get(SERVES, "*")
    names = () if served == "*" else tuple(served.split(","))
    return Controller(found["spec"]["holderIdentity"], names, alive(found, world.clock.now()))
