"""The run's record: the one place where a run's state is read and written.

A write is guarded by the version that was read: of two engines only one can go on.  What is not worth a write (a look
that passes, a moment that the next engine would find out again) stays in memory until something is, or a minute has
passed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ValidationError

from rollout.controller.status import run_status
from rollout.decide.answer import has
from rollout.errors import InvalidInput, NotFound
from rollout.observe.remembered import Remembered
from rollout.plan.base import Json
from rollout.plan.kinds import PLAN_RUN, Ref
from rollout.plan.program import FORMAT, Release
from rollout.plan.run import RUN_SPEC, STATE, GateState, RunSpec, State
from rollout.ports.clock import Clock
from rollout.ports.cluster import Cluster, guard_of

HEARTBEAT: Final = 60.0
"""Seconds after which a state that changed only in its looks is written all the same."""
CLOSELY: Final = 30.0
"""Seconds after taking a run over in which every moment that it waits for is written: who dies again and again must get
further all the same."""
FINALIZER: Final = "meshrollout.dev/home"
"""Keeps a run until its traffic is home and nothing of it is left."""


class Unreadable(InvalidInput):
    """A run that this version cannot read. Nobody acts on it until it has been mended or deleted."""


@dataclass(slots=True)
class Record:
    """A run as it was last read or written."""

    cluster: Cluster
    clock: Clock
    run: Json
    spec: RunSpec
    state: State
    stored: State = field(init=False)
    """The state as it is in the cluster."""
    decided: State = field(init=False)
    """What is material of it; each turn compares with it several times."""
    written: float = field(init=False)
    """When it was written last, as far as this engine knows."""
    told: State = field(init=False)
    """The state that people have been told of last."""
    told_at: float = field(init=False)
    """When that was."""
    plan_told: float = -math.inf
    """When the status of its plan was written last, as far as this engine knows."""
    closely: float = field(init=False)
    """Until when it is written closely."""
    looked: Remembered = field(default_factory=Remembered)
    """What its looks made of the objects that they saw last."""

    def __post_init__(self) -> None:
        self.stored = self.told = self.state
        self.decided = material(self.stored)
        self.written = self.told_at = now = self.clock.now()
        self.closely = now + CLOSELY if self.state.started else 0.0

    @property
    def ref(self) -> Ref:
        """The run's name."""
        meta = self.run["metadata"]
        return Ref(PLAN_RUN, meta["namespace"], meta["name"])

    @property
    def uid(self) -> str:
        """The run's UID."""
        return str(self.run["metadata"]["uid"])

    async def save(self, state: State) -> None:
        """Write the state now."""
        now = self.clock.now()
        status = run_status(self.run, self.spec, state, now)
        self.run = await self.cluster.put_status(self.ref, status, guard_of(self.run))
        self.state, self.stored, self.written = state, state, now
        self.decided = material(state)

    async def ensure(self, state: State) -> None:
        """See to it that the cluster knows what this state has decided before it is done."""
        if material(state) != self.decided:
            await self.save(state)
        self.state = state

    async def keep(self, state: State) -> None:
        """Write the state if it is worth it, or if the last write was long ago; remember it anyway."""
        now = self.clock.now()
        late = now - self.written >= HEARTBEAT and state != self.stored
        close = now < self.closely and _moments(state) != _moments(self.stored)
        if late or close or material(state) != self.decided:
            await self.save(state)
        self.state = state

    def remember(self, state: State) -> None:
        """Keep the state in memory: the next turn comes at once, and writes what is worth it."""
        self.state = state

    async def flush(self) -> None:
        """Write what is only in memory."""
        if self.state != self.stored:
            await self.save(self.state)

    @property
    def known(self) -> bool:
        """Whether the cluster knows what this state has decided."""
        return self.state is self.stored or material(self.state) == self.decided

    async def let_go(self) -> None:
        """Take the finalizer off: the run is over."""
        rest = [f for f in self.run["metadata"].get("finalizers", []) if f != FINALIZER]
        if len(rest) != len(self.run["metadata"].get("finalizers", [])):
            ops = [{"op": "replace", "path": "/metadata/finalizers", "value": rest}]
            self.run = await self.cluster.patch(self.ref, ops, guard_of(self.run))


def material(state: State) -> State:
    """What is worth a write: what was decided, asked and done, and any look that failed.

    Left out is what another engine would find out by looking: how far counters and looks are, what has settled, been
    seen ready or seen in place, when a hold began (it would begin again), the words of a message.  A look without a
    verdict decides nothing by itself: what is waited for because of it is written.
    """
    gates = {
        name: GateState(looks=(replace(last, at=0.0, value=None, text=""),))
        for name, gate in state.gates.items()
        for last in gate.looks[-1:]
        if last.verdict == "fail"
    }
    return replace(
        state,
        gates=gates,
        matrix=(),
        held_since=None,
        settled=None,
        routed=None,
        prepared=0,
        sized=None,
        message="",
        suspicion=(),
        holding=None if state.holding is None else replace(state.holding, message=""),
    )


def _moments(state: State) -> tuple[float | None, ...]:
    """What a run waits for, and has seen since it last acted."""
    return state.settled, state.routed, state.prepared, state.held_since, state.sized


def parse(cluster: Cluster, clock: Clock, run: Json) -> Record:
    """The record in a raw PlanRun.

    Raises:
        Unreadable: it was damaged, or a newer version wrote it.
    """
    try:
        spec = RUN_SPEC.validate_python(run["spec"])
        state = STATE.validate_python((run.get("status") or {}).get("state") or {})
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors(include_url=False)[:3]]
        raise _unreadable(run, "; ".join(wrong)) from None
    if spec.program.format > FORMAT:
        raise _unreadable(run, f"its program has format {spec.program.format}, this version reads up to {FORMAT}")
    if not 0 <= state.step < len(spec.program.steps):
        raise _unreadable(run, f"it is at step {state.step + 1} of {len(spec.program.steps)}")
    return Record(cluster, clock, run, spec, state)


def _unreadable(run: Json, why: str) -> Unreadable:
    name, namespace = run["metadata"]["name"], run["metadata"]["namespace"]
    edit = f"kubectl edit prun {name} -n {namespace} --subresource=status"
    return Unreadable(
        f"PlanRun/{name} in {namespace} cannot be read, so nothing is done about it: {why}",
        hint=f"upgrade rollout if a newer version wrote it; else repair it: {edit}",
    )


async def load(cluster: Cluster, clock: Clock, ref: Ref, known: Record | None = None) -> Record:
    """The run as it is now; what is only in memory is kept while nobody else wrote.

    Raises:
        NotFound: there is no such run.
        Unreadable: see `parse`.
    """
    run = await cluster.get(ref)
    if run is None:
        raise NotFound(f"{ref} does not exist")
    same = known is not None and known.run["metadata"]["resourceVersion"] == run["metadata"]["resourceVersion"]
    if known is not None and same and known.uid == run["metadata"]["uid"]:
        return known
    return _cautious(parse(cluster, clock, run))


def _cautious(record: Record) -> Record:
    """What another engine did last may not have reached every proxy, and it may not have told: let it settle.

    Nothing is in doubt when it was seen in place; but a route that is taken home before a native roll is not told.
    """
    state = record.state
    if not state.phase.ended and (state.routed != state.weight or has(record.spec, state, Release)):
        settled = max(state.settled or 0.0, record.clock.now() + record.spec.program.settings.settle)
        record.state = replace(state, settled=settled)
    return record
