"""Orders to whoever drives a run: written as a PlanDecision, then watched until it was obeyed or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rich.text import Text

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common
from rollout.cli.out import Printer, confirmed
from rollout.cli.render import run as render
from rollout.cli.render.words import BAD, GOOD, WAIT
from rollout.cli.session import Session, connected, somebody
from rollout.cli.status import look
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.errors import Forbidden, InvalidInput, Rejected
from rollout.plan.run import Note, Verb

PATIENCE: Final = 6.0
"""Seconds that the engine gets to answer; it looks for orders at least every other second."""
LOOK: Final = 0.5


class Outcome(StrEnum):
    """What became of an order so far."""

    OBEYED = "obeyed"
    REFUSED = "refused"
    PENDING = "pending"
    """An engine is at work and has not answered yet."""
    WAITING = "waiting"
    """Nobody drives the run: the order waits for an engine until it expires."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An order, and what became of it."""

    decision: str
    """The name of the PlanDecision."""
    uid: str
    verb: Verb
    given: RunView
    """The run when the order was given."""
    view: RunView
    """The run as it was seen last."""
    outcome: Outcome
    message: str = ""
    """The engine's own words."""
    full: bool = False


def order(
    common: Common, plan: str, verb: Verb, *, reason: str, bound: bool = False, warning: str = "", yes: bool = True
) -> int:
    """The whole of a verb that is nothing but an order to a run under way.

    `bound`: it is for the present step only.  `warning`: what it costs; asks before it is given, unless `yes`.
    """
    return asyncio.run(_order(common, plan, verb, reason=reason, bound=bound, warning=warning, yes=yes))


async def _order(common: Common, plan: str, verb: Verb, *, reason: str, bound: bool, warning: str, yes: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        view = await session.run(plan)
        under_way(view)
        if warning:
            confirm(printer, f"{warning} ({render.position(view)})", f"{verb} run {view.name}?", yes=yes)
        answer = await give(session, view, verb, reason=reason, step=view.state.step if bound else None)
    return tell(printer, answer)


def under_way(view: RunView) -> None:
    """Refuse orders to a run that has ended.

    Raises:
        InvalidInput: it has.
    """
    if view.state.phase.ended:
        at = f"-n {view.namespace}"
        raise InvalidInput(
            f"run {view.name} has ended already: {view.state.phase}",
            hint=f"rollout why {view.name} {at}, or rollout retry {view.spec.plan} {at}",
        )


def confirm(printer: Printer, says: str, question: str, *, yes: bool) -> None:
    """Say what will be done, and ask.

    Raises:
        UsageError: nobody agreed.
    """
    printer.say(says)
    if not confirmed(printer, question, yes=yes):
        raise UsageError("not confirmed, nothing was done", hint="answer y, or give --yes")


async def give(
    session: Session,
    view: RunView,
    verb: Verb,
    *,
    reason: str,
    full: bool = False,
    step: int | None = None,
    to_revision: int | None = None,
) -> Answer:
    """Write the decision, and wait a little for the answer of whoever drives the run.

    Raises:
        Forbidden: RBAC or an admission policy refuses; in the words of the API server.
    """
    try:
        decision = await session.engine.order(
            view.namespace,
            view.name,
            verb,
            by=somebody(),
            reason=reason,
            full=full,
            step=step,
            to_revision=to_revision,
        )
    except Rejected as error:
        # a policy that names no reason of its own refuses as if the object were malformed
        if "admission" in str(error).lower():
            raise Forbidden(str(error), hint=error.hint) from error
        raise
    meta = decision["metadata"]
    if not await session.driven(view):
        return Answer(meta["name"], meta["uid"], verb, view, view, Outcome.WAITING, full=full)
    seen, until = view, session.world.clock.now() + PATIENCE
    while not _consumed(seen, meta["uid"]) and session.world.clock.now() < until:
        await session.world.clock.sleep(LOOK)
        seen = await look(session, seen)
    outcome, message = judged(view, seen, verb, meta["uid"])
    return Answer(meta["name"], meta["uid"], verb, view, seen, outcome, message, full)


def judged(before: RunView, after: RunView, verb: Verb, uid: str) -> tuple[Outcome, str]:
    """What became of the decision with this UID, and the words of whoever answered it."""
    if not _consumed(after, uid):
        return Outcome.PENDING, ""
    fresh = [n for n in after.state.notes if n not in before.state.notes]
    refusal = next((n for n in fresh if _refuses(n, verb)), None)
    if refusal is not None:
        return Outcome.REFUSED, refusal.message
    return Outcome.OBEYED, next((n.message for n in fresh), "")


def _consumed(view: RunView, uid: str) -> bool:
    return any(uid in decision for decision in view.state.decisions)


def _refuses(note: Note, verb: Verb) -> bool:
    return note.reason == Reason.DECISION_REFUSED and note.message.startswith(f"{verb} ")


def tell(printer: Printer, answer: Answer) -> int:
    """Print the order and its outcome; the exit code is 1 when the engine refused it."""
    printer.emit(lambda: as_json(answer), lambda: text(answer), [f"plandecision.meshrollout.dev/{answer.decision}"])
    for line in hints(answer):
        printer.say(line)
    return Code.ERROR if answer.outcome is Outcome.REFUSED else Code.GOOD


def as_json(answer: Answer) -> dict[str, Any]:
    """For machines."""
    return {
        "decision": answer.decision,
        "verb": answer.verb,
        "full": answer.full,
        "plan": answer.view.spec.plan,
        "run": answer.view.name,
        "outcome": str(answer.outcome),
        "message": answer.message,
        "phase": str(answer.view.state.phase),
        "driven": answer.outcome is not Outcome.WAITING,
    }


def text(answer: Answer) -> Text:
    """`✔ pause of run web-1 obeyed at step 2/6 (10 %): Paused  (decision web-1-pause-123)`."""
    view = answer.view
    sign = {Outcome.OBEYED: GOOD, Outcome.REFUSED: BAD}.get(answer.outcome, WAIT)
    what = f" {answer.verb}{' in full' if answer.full else ''} of run {view.name}"
    end = {
        Outcome.OBEYED: f"obeyed: {view.state.phase} at {render.position(view)}",
        Outcome.REFUSED: "refused",
        Outcome.PENDING: f"ordered at {render.position(view)}; not answered yet",
        Outcome.WAITING: f"ordered at {render.position(view)}; it waits for an engine",
    }[answer.outcome]
    lines = [Text.assemble(sign, f"{what} {end}")]
    if answer.message:
        lines.append(Text(f"  {answer.message}"))
    lines.append(Text(f"  decision {answer.decision}", "dim"))
    return Text("\n").join(lines)


def hints(answer: Answer) -> Sequence[str]:
    """What to do now."""
    view = answer.view
    at = f"{view.spec.plan} -n {view.namespace}"
    match answer.outcome:
        case Outcome.WAITING:
            return [f"  nobody drives this run, neither a controller nor a terminal; next: rollout start {at}"]
        case Outcome.REFUSED:
            return [f"  next: rollout status {at}"]
        case Outcome.PENDING | Outcome.OBEYED:
            ended = view.state.phase.ended
            return [f"  next: rollout {'status' if ended else 'watch'} {at}"]
