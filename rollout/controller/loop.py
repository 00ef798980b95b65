"""The controller: follows the watches, and takes the turns of plans when they are due.

    watches -> stores -> which plans are concerned -> due-heap -> tick -> turn of a plan -> writes, through the fence

One tick drains the heap.  A plan has one turn at a time; what comes meanwhile is due right after it.  Every turn
stands for itself: a failed one is taken again after a growing pause, and disturbs no other plan.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.affected import Affected
from rollout.controller.due import Due
from rollout.controller.leader import Leader
from rollout.controller.orphans import Orphans, RunKey
from rollout.controller.plans import Plans
from rollout.controller.reach import Reach
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.errors import Retry, RolloutError
from rollout.notify.office import Office
from rollout.plan.base import HOLD_LABEL, Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, PLAN_RUN, PLANS, Kind, Ref, plan_of, ref_of
from rollout.ports.clock import Clock
from rollout.ports.router import Concerns
from rollout.ports.watch import Blind, Listed, Scope, Seeing, Told, Watcher

AT_ONCE: Final = 32
"""So many turns are under way at most: hundreds at once would only wait for each other, and the lease behind them."""
PATIENCE: Final = 20.0
"""Seconds that a plan at rest lets those with a run go first, when there is more to do than can be done at once."""
BLIND: Final = 1.0
"""Seconds until who has not seen everything yet may try to lead."""
LEAST: Final = 0.01
"""Seconds until what is due again at once is due: at the next tick, and not before others who wait for room."""
LONGEST: Final = 30.0
"""Seconds between two tries of a plan whose turns fail, at most."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Controller:
    """Looks after all plans of its scopes, while it leads."""

    clock: Clock
    watcher: Watcher
    stores: Stores
    concerns: Mapping[Kind, Concerns]
    plans: Plans
    leader: Leader
    telemetry: Telemetry
    office: Office | None = None
    """Who tells people; None where nobody does."""
    due: Due[Ref] = field(default_factory=Due)
    orphans: Orphans = field(init=False)
    reach: Reach = field(init=False)
    _affected: Affected = field(init=False)
    _turns: dict[Ref, asyncio.Task[None]] = field(default_factory=dict)
    _sweeps: dict[RunKey, asyncio.Task[None]] = field(default_factory=dict)
    _again: set[Ref] = field(default_factory=set)
    _failures: dict[Ref, int] = field(default_factory=dict)
    _ticked: float = 0.0
    _crowded: bool = False
    """Whether more was due than could be begun."""
    _led: bool = False

    def __post_init__(self) -> None:
        self._affected = Affected(self.stores, self.concerns)
        self.orphans = Orphans(self.plans.world.cluster, self.leader.cluster, (DEPLOYMENT, *self.concerns))
        self.reach = Reach(self.stores)
        self.telemetry.watch(self.stores, self.reach)
        self.telemetry.ticked(self.clock.monotonic())  # it has had no time to tick yet
        if self.office is not None:
            self.stores.heard = self.office.notice

    async def follow(self, scope: Scope) -> None:
        """Take what one watch tells, until it is cancelled."""
        async for told in self.watcher.watch(scope):
            self.take(scope, told)

    def take(self, scope: Scope, told: Told) -> None:
        """Take one message of a watch: what it concerns is due."""
        match told:
            case Blind():
                log.warning("watch is blind", extra={"kind": scope.kind.name, "error": str(told.error)})
            case Seeing() | Listed():
                log.debug("watch sees", extra={"kind": scope.kind.name})
        now = self.clock.monotonic()
        for obj in self.stores.take(scope, told):
            self.orphans.notice(obj, now)
            if self.office is not None:
                self.office.notice(obj)
            for key in self._affected.keys(obj):
                self.due.push(key, now)
        if isinstance(told, Blind | Seeing | Listed):
            self._notice_reach()

    def _notice_reach(self) -> None:
        """Begin with everything in a namespace that can be read by now, and tell others what we look after."""
        came, now = self.reach.look(), self.clock.monotonic()
        for key in self._all() if came else ():
            if key.namespace in came or "" in came:
                self.due.push(key, now)
        if self.ready:
            self.leader.serves = self.reach.served

    @property
    def ready(self) -> bool:
        """Whether everything that must be known, and may be, has been seen once."""
        return self.reach.ready

    async def campaign(self) -> float:
        """Try to lead, or to go on leading; the seconds until the next try.

        Who has not seen everything yet would do nothing as the leader, and leaves that to another.
        """
        if not self.ready and not self.leader.leading:
            return BLIND
        return await self.leader.campaign()

    def tick(self) -> None:
        """Begin the turns that are due; nothing while another leads, or before the first lists have come."""
        self.telemetry.ticked(self.clock.monotonic())
        self._notice_lead()
        if not (self._led and self.ready):
            return
        self._ticked = self.clock.monotonic()
        self._begin()
        for run in self.orphans.due.pop(self.clock.monotonic()):
            self._sweeps[run] = asyncio.create_task(self._sweep(run))
        if self.office is not None:
            self.office.tick()

    def _begin(self) -> None:
        """Begin what was due at the last tick, as far as there is room."""
        room = max(0, AT_ONCE - len(self._turns))
        chosen = self.due.pop(self._ticked, room, self._patience)
        self._crowded = len(chosen) == room
        for key in chosen:
            if key in self._turns:
                self._again.add(key)
            elif self.reach.seen(key.namespace):  # otherwise it is due when that comes
                self._turns[key] = asyncio.create_task(self._turn(key))

    def _patience(self, key: Ref) -> float:
        """What is under way goes before what begins: hundreds that begin together get their traffic one by one."""
        return 0.0 if key in self.plans.driven else PATIENCE

    def _notice_lead(self) -> None:
        """Begin with everything when we have become the leader."""
        if self.leader.leading == self._led:
            return
        self._led = self.leader.leading
        log.info("leads" if self._led else "does not lead any more", extra={"identity": self.leader.identity})
        self.telemetry.leads(1 if self._led else 0)
        if self._led and self.office is not None:
            self.office.begin()
        now = self.clock.monotonic()
        for key in self._all() if self._led else ():
            self.due.push(key, now)

    def _all(self) -> set[Ref]:
        """Every plan that is there, has runs, or holds a Deployment."""
        found = {kind: self.stores.of(kind, "") for kind in (*PLANS, PLAN_RUN, DEPLOYMENT)}
        known = {kind: store.list() if store else [] for kind, store in found.items()}
        keys = {ref_of(plan) for kind in PLANS for plan in known[kind]}
        keys |= {plan_of(run) for run in known[PLAN_RUN] if run["spec"].get("plan")}
        return keys | {holder for it in known[DEPLOYMENT] if (holder := _holder(it)) is not None}

    async def _turn(self, key: Ref) -> None:
        try:
            wake = await self.plans.turn(key)
            self._failures.pop(key, None)
        except RolloutError as error:
            wake = self._failed(key, error)
        except Exception as error:
            # a fault of ours in one plan must not stop the others; it is told, counted, and tried again
            log.exception("a turn failed", extra=_named(key))
            wake = self._failed(key, error)
        finally:
            del self._turns[key]
        if self._crowded and self._led and len(self._turns) <= AT_ONCE // 2:  # others need not wait for the tick
            self._begin()
        now = self.clock.monotonic()
        self.due.push(key, now + max(LEAST, 0.0 if key in self._again else wake))
        self._again.discard(key)

    async def _sweep(self, run: RunKey) -> None:
        try:
            await self.orphans.sweep(run, self.clock.monotonic())
        finally:
            self._sweeps.pop(run, None)

    def _failed(self, key: Ref, error: Exception) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.telemetry.failed(type(error).__name__)
        extra = {**_named(key), "error": str(error), "failures": failures}
        log.log(logging.DEBUG if isinstance(error, Retry) and failures < 4 else logging.WARNING, "turn", extra=extra)
        least = error.after if isinstance(error, Retry) else 1.0
        return float(min(max(least, 0.25 * 2.0 ** min(failures, 20)), LONGEST))

    async def settled(self) -> None:
        """Wait for the turns under way; what waits for room goes on waiting."""
        self._crowded = False
        while self._turns or self._sweeps:
            await asyncio.gather(*self._turns.values(), *self._sweeps.values(), return_exceptions=True)

    async def stop(self) -> None:
        """End in order: finish the turns under way, write what is only in memory, and let another lead.

        Weights stay where they are.
        """
        await self.settled()
        if self.office is not None:
            await self.office.stop()
        if self.leader.leading:
            try:
                await self.plans.flush()
            except RolloutError as error:
                log.warning("not everything could be written before the stop", extra={"error": str(error)})
        await self.leader.release()


def _named(plan: Ref) -> dict[str, str | int]:
    """A plan in the log."""
    return {"plan": plan.name, "namespace": plan.namespace, "planKind": plan.kind.name}


def _holder(deployment: Json) -> Ref | None:
    """The plan for which a Deployment is held."""
    name = (deployment["metadata"].get("labels") or {}).get(HOLD_LABEL)
    return Ref(CANARY_PLAN, deployment["metadata"]["namespace"], str(name)) if name else None
