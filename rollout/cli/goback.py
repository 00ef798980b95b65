"""Going back without a controller: the earlier template is written from here.

To what runs already, that is all: the hold ends.  To another revision, the template is written held, and a run that
only releases and concludes carries it out, so that a roll that sticks is seen, and the record tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rollout.act.release import hold_again_ops, take_back_ops
from rollout.checks.subject import hold_mode
from rollout.cli.render.plan import tag
from rollout.cli.session import Session
from rollout.cli.source import Given, from_cluster
from rollout.controller.starting import StartRefused, arm, create_run, read_revision
from rollout.controller.view import RunView
from rollout.errors import InvalidInput, NotFound
from rollout.observe.observer import read_target
from rollout.observe.templates import digest, images
from rollout.observe.workload import REVISION, full_size
from rollout.plan.base import HELD, Json
from rollout.plan.holdpolicy import MARKS
from rollout.plan.kinds import ref_of
from rollout.ports.cluster import guard_of

_ALL: Final = 20
"""The widest rollback window: what ran before needs no proof in an undo."""


@dataclass(frozen=True, slots=True)
class Back:
    """Where to go back to."""

    given: Given
    deployment: Json
    goal: Json
    """The ReplicaSet of the version."""
    runs: bool
    """It is the one with the pods: only the Deployment asks for another."""

    @property
    def target(self) -> str:
        """The Deployment's name."""
        return str(self.deployment["metadata"]["name"])

    @property
    def revision(self) -> int:
        """As `kubectl rollout history` counts."""
        return _number(self.goal)

    @property
    def images(self) -> Mapping[str, str]:
        """By container."""
        return images(self.goal["spec"]["template"])

    @property
    def what(self) -> str:
        """`1.4.2 (revision 3)`."""
        return f"{', '.join(sorted({tag(image) for image in self.images.values()}))} (revision {self.revision})"


async def look(session: Session, plan: str, to_revision: int | None) -> Back:
    """What an undo would go back to; changes nothing.

    Without a number: to what runs, when the Deployment asks for something else, otherwise to the revision before it.

    Raises:
        InvalidInput: there is no such revision.
        StartRefused: the target is in the middle of a roll.
    """
    given = await from_cluster(session.world.cluster, session.namespace, plan)
    target = given.plan.spec.target
    if target is None:
        raise InvalidInput(f"plan {plan} shifts traffic and changes no Deployment", hint="start the other way round")
    deployment, sets, _ = await read_target(session.world, session.namespace, target.name)
    if deployment is None:
        raise NotFound(f"Deployment/{target.name} in {session.namespace} does not exist", hint="correct spec.target")
    stable = full_size(sets)
    if stable is None:
        at = f"deployment/{target.name} -n {session.namespace}"
        raise StartRefused(f"Deployment/{target.name} is in mid-roll", (), hint=f"kubectl rollout status {at}")
    goal = _goal(deployment, sets, stable, to_revision)
    return Back(given, deployment, goal, goal is stable)


def _goal(deployment: Json, sets: Sequence[Json], stable: Json, to_revision: int | None) -> Json:
    known = ", ".join(str(_number(rs)) for rs in sorted(sets, key=_number))
    if to_revision is not None:
        found = next((rs for rs in sets if _number(rs) == to_revision), None)
        if found is None:
            raise InvalidInput(f"there is no revision {to_revision}", hint=f"revisions that are kept: {known}")
        if found is stable and _asks_for(deployment, stable):
            raise InvalidInput(f"revision {to_revision} is what runs", hint=f"revisions that are kept: {known}")
        return found
    if not _asks_for(deployment, stable):
        return stable
    earlier = [rs for rs in sets if _number(rs) < _number(stable)]
    if not earlier:
        raise InvalidInput("nothing ran before this version, as far as is known", hint=f"revisions kept: {known}")
    return max(earlier, key=_number)


def _asks_for(deployment: Json, replica_set: Json) -> bool:
    return digest(deployment["spec"]["template"]) == digest(replica_set["spec"]["template"])


def _number(replica_set: Json) -> int:
    number = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(number) if number.isdigit() else 0


async def go(session: Session, back: Back, *, by: str) -> RunView | None:
    """Write the template; the run that carries it out, or None where none is needed.

    Raises:
        Forbidden: the hold policy wants the verb `release` for this.
        Conflict: somebody else has written the Deployment since we looked.
    """
    world, plan = session.world, back.given.plan
    if back.runs:
        ops = take_back_ops(back.deployment, back.goal, f"undo.{back.deployment['metadata'].get('generation', 0)}")
        if _rests_paused(back.deployment):
            ops = [op for op in ops if op["path"] != "/spec/paused"]
        await world.cluster.patch(ref_of(back.deployment), ops, guard_of(back.deployment))
        return None
    mode = await hold_mode(world, plan)
    armed = await arm(world, plan, mode, {})
    deployment = await world.cluster.get(ref_of(back.deployment))
    if deployment is None:
        raise NotFound(f"Deployment/{back.target} has just been deleted", hint="create it again")
    written = await world.cluster.patch(ref_of(deployment), hold_again_ops(deployment, back.goal), guard_of(deployment))
    target = await read_revision(world, plan, mode, replace(armed, digest=digest(written["spec"]["template"])))
    runs = await session.engine.runs(session.namespace, plan.metadata.name)
    for ended in runs[:1]:
        await session.engine.settle(ended)
    raw = back.given.raw
    proven = {**raw, "spec": {**raw["spec"], "rollbackWindow": {"revisions": _ALL}}}
    run = await create_run(world, proven, target, by, 1 + len(runs))
    view = await session.engine.latest(session.namespace, run["metadata"]["name"])
    if view is None:
        raise NotFound(f"run {run['metadata']['name']} has just been deleted", hint="undo again")
    return view


def _rests_paused(deployment: Json) -> bool:
    """Whether its owner keeps it paused, hold or no hold."""
    mark = (deployment["metadata"].get("annotations") or {}).get(HELD)
    return mark == "paused" or (bool(deployment["spec"].get("paused")) and mark not in MARKS)
