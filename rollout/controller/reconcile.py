"""One turn of one run: observe, decide, act, report. Nothing else.

The state is written before anything is done, and the journal line before the write that it undoes.  Whatever fails,
the next turn reads everything again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rollout.act.changes import Acting, changes
from rollout.act.hooks import act
from rollout.act.perform import perform
from rollout.controller.record import Record, load
from rollout.controller.report import report
from rollout.controller.view import RunView
from rollout.decide.action import CallHook, DropHook
from rollout.decide.engine import decide
from rollout.decide.gates import due
from rollout.decide.reason import Reason
from rollout.decide.seen import Seen
from rollout.decide.turn import Decision, block
from rollout.errors import Retry, Terminal
from rollout.observe.observer import Observation, observe
from rollout.plan.kinds import Ref
from rollout.plan.run import RunSpec, State
from rollout.ports.world import World

AT_ONCE: Final = 10
"""So many thoughts about one observation, at most."""
REFUSED_AGAIN: Final = 5.0
"""Seconds until what was refused is tried again."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn led to: the run as it is now, and in how many seconds the next one is useful."""

    view: RunView
    wake: float


OnTurn = Callable[[RunView, State], None]
"""Told of each turn: the run as it is now, and its state before."""


@dataclass(slots=True)
class Reconciler:
    """Takes turns. Remembers nothing that it could not read back, but for looks that were not worth a write."""

    world: World
    records: dict[Ref, Record] = field(default_factory=dict)
    on_turn: OnTurn | None = None

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
        seen, wake = None, REFUSED_AGAIN
        try:
            seen = await observe(world, ref, record.uid, record.spec, before, now, record.looked)
            decision = _decide(record.spec, before, seen.seen, now)
            wake = await self._do(record, decision, seen)
        except Retry:
            await report(world, record)
            raise
        except Terminal as error:
            await record.keep(_refused(record.state, error, now))
        wake = min(wake, await report(world, record))
        view = RunView(ref.namespace, ref.name, record.uid, record.spec, record.state, now, seen.seen if seen else None)
        if self.on_turn is not None:
            self.on_turn(view, before)
        return Turn(view, wake)

    def forget(self, ref: Ref) -> None:
        """Drop what is only in memory: the run is over, or another engine drives it."""
        self.records.pop(ref, None)

    async def _do(self, record: Record, decision: Decision, seen: Observation) -> float:
        """Remember, then do."""
        program = record.spec.program
        mesh = self.world.meshes.get(program.adoption.mesh) if program.adoption is not None else None
        router = self.world.routers.get(program.settings.router) if program.backends is not None else None
        acting = Acting(record.ref, record.uid, record.spec, seen, router, mesh)
        state = decision.state
        for action in decision.actions:
            if isinstance(action, CallHook | DropHook):
                await record.ensure(state)
                await act(self.world.hooks, record.ref, record.uid, action)
                continue
            todo = changes(acting, action, state.journal)
            state = await perform(self.world.cluster, todo, state, record.ensure)
        if decision.wake <= 0 and not state.phase.ended:
            record.remember(state)
        else:
            await record.keep(state)
        return decision.wake


def _decide(spec: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """Decide until something is to be done or waited for: what was seen does not change by thinking about it.

    A gate that has become due meanwhile must be asked first.
    """
    decision = decide(spec, state, seen, now)
    for _ in range(AT_ONCE):
        if decision.actions or decision.wake > 0 or decision.state.phase.ended or decision.state == state:
            break
        state = decision.state
        if state.step < len(spec.program.steps):
            if any(gate.name not in seen.samples for gate in due(spec.program.steps[state.step], state, now)):
                break
        decision = decide(spec, state, seen, now)
    return decision


def _refused(state: State, error: Terminal, now: float) -> State:
    """A refused read or write is a reason to wait and to say so, not to leave the run where it is in silence."""
    return block(state, now, Reason.REFUSED, f"{error} {error.hint}".strip()).state
