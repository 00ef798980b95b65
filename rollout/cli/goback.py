"""Going back without a controller: the order is written all the same, and this terminal does what a controller would.

So the same rules hold, the same right is asked for, and the record of the run tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from rollout.cli.orders import Answer, Outcome, judged
from rollout.cli.render.plan import tag
from rollout.cli.session import Session, somebody
from rollout.cli.source import from_cluster
from rollout.cli.status import look
from rollout.controller.afterwards import goal_of
from rollout.controller.plans import Plans
from rollout.controller.view import RunView
from rollout.errors import InvalidInput, Retry
from rollout.observe.observer import read_target
from rollout.observe.templates import digest, images

LOOK: Final = 0.5
PATIENCE: Final = 30.0
"""Seconds that the Deployment's own controller gets to take the template in."""


@dataclass(frozen=True, slots=True)
class Back:
    """Where an undo leads."""

    target: str
    """The Deployment's name."""
    revision: int
    """As `kubectl rollout history` counts."""
    images: Mapping[str, str]

    @property
    def what(self) -> str:
        """`1.4.2 (revision 3)`."""
        return f"{', '.join(sorted({tag(image) for image in self.images.values()}))} (revision {self.revision})"


async def preview(session: Session, plan: str, to_revision: int | None) -> Back:
    """What an undo would go back to; changes nothing.

    Raises:
        InvalidInput: there is no such revision, or the target is in mid-roll.
        NotFound: there is no such plan.
    """
    world, namespace = session.world, session.namespace
    given = await from_cluster(world.cluster, namespace, plan)
    target = given.canary.spec.target
    if target is None:
        raise InvalidInput(f"plan {plan} shifts traffic and changes no Deployment", hint="shift it the other way round")
    goal = await goal_of(world, namespace, target.name, to_revision)
    _, sets, work = await read_target(world, namespace, target.name)
    template = next(rs["spec"]["template"] for rs in sets if digest(rs["spec"]["template"]) == goal)
    views = work.replica_sets if work else ()
    return Back(target.name, next(rs.revision for rs in views if rs.digest == goal), images(template))


async def go(session: Session, answer: Answer) -> tuple[Answer, RunView | None]:
    """Do what was ordered; the run that came of it, None where the template that runs was all that was asked for."""
    world, ended = session.world, answer.given
    plans = Plans(replace(world, identity=somebody()))
    known = {view.uid for view in await session.engine.runs(ended.owner)}
    until = world.clock.now() + PATIENCE
    while world.clock.now() < until:
        try:
            await plans.turn(ended.owner)
        except Retry as error:
            await world.clock.sleep(error.after)
            continue
        runs = await session.engine.runs(ended.owner)
        if fresh := next((view for view in runs if view.uid not in known), None):
            return replace(answer, outcome=Outcome.OBEYED), fresh
        seen = await look(session, ended)
        outcome, message = judged(ended, seen, answer.verb, answer.uid)
        if outcome is Outcome.REFUSED or (outcome is Outcome.OBEYED and not seen.state.undo_to):
            return replace(answer, view=seen, outcome=outcome, message=message), None
        await world.clock.sleep(LOOK)
    return answer, None
