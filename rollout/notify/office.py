"""All channels: which of them has its turn when.  Beside the runs, never in their way.

It is told what changed, and begins what is due when it is ticked; it never waits for anything, and nothing waits for
it.  A channel has one turn at a time, and a dead one is tried less and less often.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field
from typing import Final

from rollout.errors import Retry, RolloutError
from rollout.notify.choose import TERMINAL, Box, Reach
from rollout.notify.post import PAUSES, Counted, Courier, nobody
from rollout.notify.select import covers
from rollout.plan.base import Json
from rollout.plan.kinds import NOTIFICATION_CHANNEL, PLAN_RUN, Ref, kind_of, ref_of
from rollout.ports.world import World

AT_ONCE: Final = 16
"""So many channels are being spoken to at the same time, at most."""
PATIENCE: Final = 3.0
"""Seconds that what is being sent has to arrive when we end."""
SEEN: Final = 10_000
"""So many runs are known by how much of their story has been seen."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Office:
    """Sees to it that what happens is told."""

    courier: Courier
    boxes: dict[Ref, Box] = field(default_factory=dict)
    _due: dict[Ref, float] = field(default_factory=dict)
    _turns: dict[Ref, asyncio.Task[None]] = field(default_factory=dict)
    _again: set[Ref] = field(default_factory=set)
    _failures: dict[Ref, int] = field(default_factory=dict)
    _seen: dict[Ref, tuple[str, int]] = field(default_factory=dict)

    def notice(self, obj: Json) -> None:
        """Something changed: a channel, or a run that may have news. Whoever says so is never disturbed."""
        try:
            self._notice(obj)
        except Exception:  # this is called in the middle of a write of a run
            log.exception("a change could not be noticed")

    def _notice(self, obj: Json) -> None:
        kind, ref = kind_of(obj), ref_of(obj)
        if kind == NOTIFICATION_CHANNEL:
            self._channel(ref, obj)
        elif kind == PLAN_RUN and self._is_news(ref, obj):
            for box in self.boxes.values():
                self._run(box, ref, str(obj["spec"].get("plan", "")))

    def begin(self) -> None:
        """Look at everything: we have become the one who tells."""
        for box in self.boxes.values():
            box.open = None
            self._push(box.ref, 0.0)

    def tick(self) -> None:
        """Begin the turns that are due."""
        now = self.courier.clock.monotonic()
        for ref in sorted(it for it, at in self._due.items() if at <= now):
            if ref in self._turns:
                self._again.add(ref)
                del self._due[ref]
            elif len(self._turns) < AT_ONCE:
                del self._due[ref]
                self._turns[ref] = asyncio.create_task(self._turn(self.boxes[ref]))

    def wait(self) -> float:
        """Seconds until there is something to do: 0 while something is being sent, infinity when there is nothing."""
        if self._turns:
            return 0.0
        return max(0.0, min(self._due.values(), default=math.inf) - self.courier.clock.monotonic())

    async def settled(self) -> None:
        """Wait for the turns under way."""
        while self._turns:
            await asyncio.gather(*self._turns.values(), return_exceptions=True)

    async def stop(self, patience: float = PATIENCE) -> None:
        """Let what is being sent arrive, and end what takes longer: who tells next finds out whether it did."""
        if self._turns:
            await asyncio.wait(self._turns.values(), timeout=patience)
        for task in self._turns.values():
            task.cancel()
        await self.settled()

    def _channel(self, ref: Ref, obj: Json) -> None:
        made = (obj["metadata"]["uid"], obj["metadata"].get("generation", 1))
        box = self.boxes.setdefault(ref, Box(ref))
        if box.made != made:  # else it is our own report
            self._push(ref, 0.0)

    def _run(self, box: Box, run: Ref, plan: str) -> None:
        if box.spec is not None and not covers(box.spec, box.ref.namespace, self.courier.reach.home, run, plan):
            return
        if box.open is not None:
            box.open.add(run)
        if not box.failures:  # a channel in trouble is tried when its pause is over
            self._push(box.ref, 0.0)

    def _is_news(self, ref: Ref, obj: Json) -> bool:
        """Whether the run's story has grown; most writes of a run add nothing to it."""
        state = (obj.get("status") or {}).get("state") or {}
        told = (obj["metadata"]["uid"], int(state.get("forgotten") or 0) + len(state.get("notes") or ()))
        if self._seen.get(ref) == told:
            return False
        if len(self._seen) >= SEEN:
            self._seen.clear()
        self._seen[ref] = told
        return told[1] > 0

    def _push(self, ref: Ref, at: float) -> None:
        self._due[ref] = min(at, self._due.get(ref, math.inf))

    async def _turn(self, box: Box) -> None:
        wait = PAUSES[1]
        try:
            wait = await self.courier.turn(box)
            self._failures.pop(box.ref, None)
        except RolloutError as error:
            wait = self._failed(box.ref, error)
        except Exception as error:
            # a fault of ours, or of a plug-in, in one channel must not stop the others
            log.exception("a channel's turn failed", extra=_named(box.ref))
            wait = self._failed(box.ref, error)
        finally:
            del self._turns[box.ref]
            self._next(box.ref, wait)

    def _next(self, ref: Ref, wait: float) -> None:
        again = ref in self._again and not self.boxes[ref].failures
        self._again.discard(ref)
        if again or wait < math.inf:
            self._push(ref, self.courier.clock.monotonic() + (0.0 if again and wait == math.inf else wait))

    def _failed(self, ref: Ref, error: Exception) -> float:
        failures = self._failures[ref] = self._failures.get(ref, 0) + 1
        extra = {**_named(ref), "error": str(error), "failures": failures}
        log.log(logging.DEBUG if isinstance(error, Retry) and failures < 4 else logging.WARNING, "telling", extra=extra)
        least = error.after if isinstance(error, Retry) else 1.0
        return float(min(max(least, 0.25 * 2.0 ** min(failures, 16)), PAUSES[1]))


def office(world: World, reach: Reach = TERMINAL, counted: Counted = nobody) -> Office | None:
    """An office in this world; None where nothing can be sent."""
    if world.http is None:
        return None
    return Office(Courier(world.cluster, world.clock, world.http, world.channels, world.identity, reach, counted))


def _named(channel: Ref) -> dict[str, str]:
    """A channel in the log."""
    return {"channel": channel.name, "namespace": channel.namespace}
