"""Which change a pipeline waits for: the run of *its* revision, also when that has not begun yet.

The end of an earlier run must never be taken for the end of this one.  So only the newest run counts, or one that came
while we waited; and an ended one does not count when the Deployment asks for another template by now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.cli.exit import TimedOut
from rollout.cli.out import Printer
from rollout.cli.session import Session
from rollout.cli.source import from_cluster
from rollout.controller.view import RunView
from rollout.errors import NotFound, Retry
from rollout.observe.observer import read_target
from rollout.observe.templates import images
from rollout.plan.objects import CanaryPlan

LOOK: Final = 1.0
"""Seconds between two lists of the runs."""
SELDOM: Final = 5
"""Every so many looks the Deployment is looked at, too."""


@dataclass(frozen=True, slots=True)
class Change:
    """One revision, by the run's name, by images, or by the digest of the pod template."""

    run: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    digest: str | None = None

    @property
    def any(self) -> bool:
        """Whether nothing was said: the newest run is meant."""
        return not (self.run or self.images or self.digest)

    def fits(self, view: RunView) -> bool:
        """Whether a run is of this change."""
        revision = view.spec.revision
        return (self.run is None or view.name == self.run) and self.asked(revision.digest, revision.images)

    def asked(self, digest: str, found: Mapping[str, str]) -> bool:
        """Whether a template is of this change."""
        named = all(found.get(name) == image for name, image in self.images.items())
        return named and (self.digest is None or digest == self.digest)

    def __str__(self) -> str:
        words = [self.run or "", *(f"{c}={i}" for c, i in self.images.items())]
        return " ".join(filter(None, [*words, f"revision {self.digest}" if self.digest else ""]))


@dataclass(frozen=True, slots=True)
class Target:
    """What the Deployment asks for, and whether that is all that runs."""

    name: str
    digest: str
    images: Mapping[str, str]
    live: bool


@dataclass(frozen=True, slots=True)
class NoRun:
    """The change is live, and no run was needed for it (or its run is no longer on record)."""

    namespace: str
    plan: str
    target: Target

    @property
    def message(self) -> str:
        """A sentence for people."""
        return f"Deployment/{self.target.name} runs this version already, no run is needed"


async def appeared(
    session: Session, printer: Printer, plan: str, change: Change, until: float | None
) -> RunView | NoRun:
    """The run of the change, as soon as it is there.

    Raises:
        NotFound: there is no such plan, or no run at all and no change was named.
        TimedOut: it did not come before `until`.
    """
    if change.any:
        return await session.run(plan)
    given = await from_cluster(session.world.cluster, session.namespace, plan)
    aim = given.plan.spec.target if isinstance(given.plan, CanaryPlan) else None
    target = aim.name if aim else ""
    first: set[str] | None = None
    clock, looks = session.world.clock, 0
    while True:
        try:
            runs = await session.engine.runs(given.ref)
            first = {view.uid for view in runs} if first is None else first
            now = await _target(session, target) if target and looks % SELDOM == 0 else None
            if found := _found(change, runs, first, now):
                return found
            if now and now.live and change.run is None and change.asked(now.digest, now.images) and not _busy(runs):
                return NoRun(session.namespace, plan, now)
        except Retry:
            pass  # the API server does not answer; the next look will do
        if looks == 0:
            await _say_waiting(session, printer, plan, change)
        if until is not None and clock.now() >= until:
            raise TimedOut(
                f"no run of {change} has come, and the time is over",
                hint=f"did the change reach the cluster? rollout get {plan} -n {session.namespace} -o wide",
            )
        looks += 1
        await clock.sleep(LOOK)


def _found(change: Change, runs: Sequence[RunView], first: set[str], now: Target | None) -> RunView | None:
    if change.run is not None:
        return next((view for view in runs if change.fits(view)), None)
    came = next((view for view in runs if view.uid not in first and change.fits(view)), None)
    if came is not None or not runs or not change.fits(runs[0]):
        return came
    newest = runs[0]
    if newest.state.phase.ended and newest.spec.revision.digest:
        if now is None:
            return None  # not to be told from an earlier one until the Deployment has been looked at
        if now.digest != newest.spec.revision.digest and change.asked(now.digest, now.images):
            return None  # the same images in another template: its run is still to come
    return newest


def _busy(runs: Sequence[RunView]) -> bool:
    return any(not view.state.phase.ended for view in runs)


async def _target(session: Session, name: str) -> Target | None:
    deployment, _, work = await read_target(session.world, session.namespace, name)
    if deployment is None or work is None:
        return None
    return Target(name, work.digest, images(deployment["spec"]["template"]), work.rolled)


async def _say_waiting(session: Session, printer: Printer, plan: str, change: Change) -> None:
    printer.say(f"waiting for a run of {change}")
    if await session.controller(session.namespace) is None:
        printer.say(
            f"  no controller looks after namespace {session.namespace}: somebody has to start it: "
            f"rollout start {plan} -n {session.namespace}"
        )


def no_run(session: Session, plan: str, change: Change) -> NotFound:
    """What to raise when nobody waits and there is none."""
    at = f"{plan} -n {session.namespace}"
    return NotFound(f"plan {plan} has no run of {change}", hint=f"rollout history {at}; --wait-for done waits for it")
