"""Orders for a run that has ended: retry is a new run, undo goes back to what ran before; all others come too late."""

from __future__ import annotations

from dataclasses import replace

from rollout.act.release import hold_again_ops, take_back_ops
from rollout.controller.record import parse
from rollout.decide.answer import refusal, told
from rollout.decide.reason import Reason
from rollout.decide.rest import Last
from rollout.decide.seen import Order
from rollout.decide.turn import note
from rollout.errors import InvalidInput
from rollout.observe import orders
from rollout.observe.observer import read_target
from rollout.observe.templates import digest
from rollout.observe.workload import full_size, revision_of
from rollout.plan.base import Json
from rollout.plan.kinds import PLAN_DECISION, ref_of
from rollout.plan.run import Phase, State
from rollout.ports.cluster import guard_of
from rollout.ports.world import World


async def first_order(world: World, run: Json, last: Last) -> Order | None:
    """The first order for the ended run that nobody has answered yet."""
    meta = run["metadata"]
    decisions = await world.cluster.list(PLAN_DECISION, meta["namespace"])
    found = orders.parse(decisions, last.spec.plan, meta["name"], meta["uid"], last.spec.plan_kind)
    heard = set(last.state.decisions)
    return next((o for o in found if o.uid not in heard and o.content not in heard), None)


async def answer(world: World, run: Json, last: Last, order: Order, target: str) -> bool:
    """Take the order, or refuse it, and write that into the ended run; whether a retry may begin.

    A retry is written down when its run is there.  An undo is written down before anything is done, with the template
    that it goes back to: killed in between, the next controller goes on.
    """
    now, namespace = world.clock.now(), run["metadata"]["namespace"]
    state, why, goal = last.state, _refused(last, order, now), ""
    if not why and order.verb == "retry":
        return True
    if not why:
        try:
            goal = await goal_of(world, namespace, target, order.to_revision)
        except InvalidInput as error:
            why = f"{error}; {error.hint}"
    if why:
        await refuse(world, run, last, order, why)
        return False
    state = note(replace(state, undo_to=goal), now, Reason.UNDO_ORDERED, told("undone", order))
    await _write(world, run, state, order)
    return False


async def refuse(world: World, run: Json, last: Last, order: Order, why: str) -> None:
    """Write into the ended run why nothing comes of an order."""
    state = note(last.state, world.clock.now(), Reason.DECISION_REFUSED, refusal(order, why), warning=True)
    await _write(world, run, state, order)


async def taken(world: World, run: Json, last: Last, order: Order) -> None:
    """Write into the ended run that its retry has begun."""
    state = note(last.state, world.clock.now(), Reason.RETRIED, told("tried again", order))
    await _write(world, run, state, order)


async def _write(world: World, run: Json, state: State, order: Order) -> None:
    record = parse(world.cluster, world.clock, run)
    await record.save(replace(state, decisions=(*state.decisions, order.uid, order.content)))


def _refused(last: Last, order: Order, now: float) -> str:
    """Why nothing comes of an order for an ended run; empty when something does."""
    if order.flaw:
        return order.flaw
    if order.expires is not None and now > order.expires:
        return "it has expired"
    if order.verb not in ("retry", "undo"):
        return f"the run has ended ({last.state.phase})"
    if order.verb == "undo" and last.spec.program.adoption is not None:
        return "an adoption that has ended is kept; what holds it is told by rollout handoff"
    if order.verb == "retry" and last.state.phase is Phase.SUCCEEDED:
        return "the run has succeeded, there is nothing to try again"
    return ""


async def go_back(world: World, run: Json, last: Last, target: str) -> None:
    """Write the earlier template: held, for the run that comes of it; what runs already needs no hold, and no run.

    The latter is done once: against a Git that goes on asking for something else it would be a fight.

    Raises:
        Conflict: somebody else wrote the Deployment at the same moment.
    """
    deployment, sets, _ = await read_target(world, run["metadata"]["namespace"], target)
    goal = next((rs for rs in sets if digest(rs["spec"]["template"]) == last.state.undo_to), None)
    runs_already = goal is not None and goal is full_size(sets)
    if deployment is not None and goal is not None:
        token = f"{last.spec.plan}.{deployment['metadata'].get('generation', 0)}"
        ops = take_back_ops(deployment, goal, token) if runs_already else hold_again_ops(deployment, goal)
        await world.cluster.patch(ref_of(deployment), ops, guard_of(deployment))
    if goal is None or runs_already:
        await parse(world.cluster, world.clock, run).save(replace(last.state, undo_to=""))


async def goal_of(world: World, namespace: str, target: str, to_revision: int | None) -> str:
    """Digest of the template to go back to: of a numbered revision, of what runs, or of what ran before that.

    Raises:
        InvalidInput: there is none.
    """
    deployment, sets, _ = await read_target(world, namespace, target)
    stable = full_size(sets)
    if deployment is None or stable is None:
        raise InvalidInput(f"Deployment/{target} is in mid-roll, or gone", hint="undo again when it has rolled")
    known = ", ".join(str(revision_of(rs)) for rs in sorted(sets, key=revision_of))
    if to_revision is not None:
        chosen = [rs for rs in sets if revision_of(rs) == to_revision]
        problem = f"there is no revision {to_revision}"
    elif digest(deployment["spec"]["template"]) != digest(stable["spec"]["template"]):
        return digest(stable["spec"]["template"])
    else:
        chosen = sorted((rs for rs in sets if revision_of(rs) < revision_of(stable)), key=revision_of)
        problem = "nothing ran before this version, as far as is known"
    if not chosen:
        raise InvalidInput(problem, hint=f"revisions that are kept: {known}")
    return digest(chosen[-1]["spec"]["template"])
