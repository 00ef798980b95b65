"""One turn of one run: observe, decide, act, report. Nothing else.

The state is written before anything is done, and the journal line before the write that it undoes.  Whatever fails,
the next turn reads everything again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout.act.changes import Acting, changes
from rollout.act.perform import perform
from rollout.controller.record import Record, load
from rollout.controller.report import report
from rollout.controller.view import RunView
from rollout.decide.engine import decide
from rollout.decide.reason import Reason
from rollout.decide.turn import Decision, block
from rollout.errors import Retry, Terminal
from rollout.observe.observer import Observation, observe
from rollout.plan.kinds import Ref
from rollout.ports.world import World


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn led to: the run as it is now, and in how many seconds the next one is useful."""

    view: RunView
    wake: float


@dataclass(slots=True)
class Reconciler:
    """Takes turns. Remembers nothing that it could not read back, but for looks that were not worth a write."""

    world: World
    records: dict[Ref, Record] = field(default_factory=dict)

    async def turn(self, ref: Ref) -> Turn:
        """Take one turn of a run.

        Raises:
            NotFound: there is no such run.
            Retry: the world was not ready; take the turn again after `after` seconds.
        """
        world = self.world
        record = await load(world.cluster, world.clock, ref, self.records.get(ref))
        self.records[ref] = record
        now = world.clock.now()
        before = record.state
        seen = await observe(world, ref, record.uid, record.spec, before, now)
        decision = decide(record.spec, before, seen.seen, now)
        try:
            wake = await self._do(record, decision, seen)
        except Retry:
            await report(world, record, before)
            raise
        await report(world, record, before)
        view = RunView(ref.namespace, ref.name, record.uid, record.spec, record.state, now, seen.seen)
        return Turn(view, wake)

    async def _do(self, record: Record, decision: Decision, seen: Observation) -> float:
        """Remember, then do. A refused write is a reason to wait and to say so, not to leave."""
        router = self.world.routers[record.spec.program.settings.router]
        acting = Acting(record.ref, record.uid, record.spec, router, seen)
        state = decision.state
        try:
            for action in decision.actions:
                todo = changes(acting, action, state.journal)
                state = await perform(self.world.cluster, todo, state, record.ensure)
            await record.keep(state)
        except Terminal as error:
            text = f"{error} {error.hint}".strip()
            blocked = block(record.state, self.world.clock.now(), Reason.WRITE_REFUSED, text, 5.0)
            await record.keep(blocked.state)
            return blocked.wake
        return decision.wake
