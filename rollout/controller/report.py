"""The one exit: what a turn changed is told here, to the plan's status and as Kubernetes Events.

Telling never stops a run: what cannot be told now is told by the next turn, or not at all.
"""

from __future__ import annotations

import hashlib

from rollout.controller.record import Record
from rollout.controller.status import plan_status, rfc3339
from rollout.errors import Conflict, NotFound, RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, EVENT, PLAN_RUN, Ref
from rollout.plan.run import Note, State
from rollout.ports.cluster import guard_of
from rollout.ports.world import World


async def report(world: World, record: Record, before: State) -> None:
    """Tell what changed since `before`; take the finalizer off when the run is over."""
    state = record.state
    try:
        for note in _new(before, state):
            await world.cluster.create(_event(record, note))
    except RolloutError:
        pass  # an Event that exists was told by a turn whose answer was lost; one that is refused must not stop us
    if _headline(before) != _headline(state) or state.phase.ended:
        await _tell_plan(world, record)
    if state.phase.ended:
        await record.let_go()


def _headline(state: State) -> tuple[object, ...]:
    return state.phase, state.step, state.weight, state.reason


def _new(before: State, after: State) -> list[Note]:
    known = set(before.notes)
    return [n for n in after.notes if n not in known]


async def _tell_plan(world: World, record: Record) -> None:
    ref = Ref(CANARY_PLAN, record.ref.namespace, record.spec.plan)
    plan = await world.cluster.get(ref)
    if plan is None or plan["metadata"]["uid"] != record.spec.plan_uid:
        return
    status = plan_status(plan, record.ref.name, record.spec, record.state, world.clock.now())
    if status == plan.get("status"):
        return
    try:
        await world.cluster.put_status(ref, status, guard_of(plan))
    except (Conflict, NotFound):
        return  # the owner wrote or deleted the plan at the same moment; the next change of the headline tells it


def _event(record: Record, note: Note) -> Json:
    """An events.k8s.io Event. Its name derives from its content: told twice, it is refused the second time."""
    meta = record.run["metadata"]
    key = f"{record.uid}/{note.at}/{note.reason}/{note.message}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{meta['name']}.{hashlib.sha256(key.encode()).hexdigest()[:12]}",
            "namespace": meta["namespace"],
        },
        "eventTime": rfc3339(note.at).replace("Z", ".000000Z"),
        "reportingController": "meshrollout.dev/rollout",
        "reportingInstance": "rollout",
        "action": note.reason,
        "reason": note.reason,
        "type": "Warning" if note.warning else "Normal",
        "note": note.message[:1024],
        "regarding": {
            "apiVersion": PLAN_RUN.api_version,
            "kind": PLAN_RUN.name,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
    }
