"""Who may let an approval pass, and how many of them it takes."""

from __future__ import annotations

from dataclasses import replace

from rollout.decide.answer import refuse
from rollout.decide.reason import Reason
from rollout.decide.seen import Order
from rollout.decide.turn import Decision, note
from rollout.plan.program import Approve
from rollout.plan.run import RunSpec, State


def consent(run: RunSpec, state: State, order: Order, now: float) -> Decision | State:
    """The state that has what it needs of people; or the turn that counts one of them, or refuses him."""
    wanted = approval(run, state)
    if wanted is None:
        return replace(state, approved=True)
    why = _may_not(wanted, state, order)
    if why:
        return refuse(state, order, why, now)
    state = replace(state, approvals=(*state.approvals, order.by))
    if len(state.approvals) >= wanted.count:
        return replace(state, approved=True)
    text = f"approved by {order.by}{f': {order.reason}' if order.reason else ''}; {_lacking(wanted, state)}"
    return Decision(replace(note(state, now, Reason.APPROVED, text), message=asks(run, state, wanted)))


def approval(run: RunSpec, state: State) -> Approve | None:
    """The approval that the present step waits for, if it does."""
    return next((i for i in run.program.steps[state.step].instructions if isinstance(i, Approve)), None)


def asks(run: RunSpec, state: State, wanted: Approve) -> str:
    """What people are asked for, and by which command."""
    text = f"waits for approval: rollout promote {run.plan} -n {run.program.namespace}"
    if wanted.count > 1 or wanted.users or wanted.groups:
        text += f"; {_lacking(wanted, state)}"
    return text


def _lacking(wanted: Approve, state: State) -> str:
    """`1 of 2 have approved (ana); who may: users ben, groups sre`."""
    done = f"{len(state.approvals)} of {wanted.count} have approved"
    done += f" ({', '.join(state.approvals)})" if state.approvals else ""
    return f"{done}; who may: {may(wanted)}" if wanted.users or wanted.groups else done


def may(wanted: Approve) -> str:
    """Who may approve, in words."""
    users = f"users {', '.join(wanted.users)}" if wanted.users else ""
    groups = f"groups {', '.join(wanted.groups)}" if wanted.groups else ""
    return " and ".join(filter(None, (users, groups)))


def _may_not(wanted: Approve, state: State, order: Order) -> str:
    named = wanted.users or wanted.groups
    if not order.by and (named or wanted.count > 1):
        return "it does not say by whom; this step counts who approves"
    if named and order.by not in wanted.users and not set(order.groups) & set(wanted.groups):
        return f"{order.by} is not among those who may approve this step: {may(wanted)}"
    if order.by in state.approvals:
        return f"{order.by} has approved already; {_lacking(wanted, state)}"
    return ""
