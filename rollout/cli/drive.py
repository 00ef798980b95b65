"""Driving a run from this terminal: what an interruption, a time limit and another engine mean."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from rich.text import Text

from rollout.cli.exit import Interrupted, TimedOut
from rollout.cli.follow import Follower, Story, following, interruptible
from rollout.cli.out import Printer
from rollout.cli.render import run as render
from rollout.cli.render.words import BAD, GO
from rollout.cli.session import Session
from rollout.controller.view import RunView
from rollout.plan.run import Phase


class Drive:
    """Sees one run through to its end.

    While another engine drives the run this one only follows, and takes over when the other is gone: that is also how
    a second `start` resumes after the first was killed.
    """

    def __init__(self, session: Session, printer: Printer, *, leave: bool = False, limit: float | None = None) -> None:
        self._session, self._printer = session, printer
        self._leave, self._limit = leave, limit
        self._what = "the traffic"
        self._story = Story(printer)
        self._driving = True

    async def to_the_end(self, view: RunView) -> RunView:
        """The run when it has ended or is held.

        Raises:
            Interrupted: somebody pressed Ctrl-C; the traffic is home, unless it says otherwise.
            TimedOut: the same when the time was over.
        """
        if view.spec.program.adoption is not None:
            # what an adoption has reached is not thrown away by a key: undoing it makes every pod anew
            self._leave, self._what = True, "what has been done"
        with self._following(self._hint) as follower:
            try:
                work = self._session.engine.drive(view.namespace, view.name, self._shown(follower))
                return await interruptible(work, self._limit)
            except KeyboardInterrupt:
                ending: type[Interrupted | TimedOut] = Interrupted
            except TimeoutError:
                ending = TimedOut
        said = "interrupted" if ending is Interrupted else "the time is over"
        if not self._driving:
            where = f"rollout watch {view.spec.plan} -n {view.namespace}"
            raise ending(f"{said}; the run goes on, another engine drives it", hint=where)
        if self._leave:
            raise ending(f"{said}; {self._what} stays {self._where}", hint=self._resume(view))
        raise await self._interrupted(view, ending, said)

    def _hint(self) -> str:
        if not self._driving:
            return "Ctrl-C stops following; the run goes on"
        return f"Ctrl-C leaves {self._what} {self._where}" if self._leave else "Ctrl-C takes the traffic home"

    @property
    def _where(self) -> str:
        return "where it is" if self._what == "the traffic" else "as it is"

    def _shown(self, follower: Follower) -> Follower:
        """The follower, told once when another engine drives the run."""
        followed = False

        def show(view: RunView) -> None:
            nonlocal followed
            # only the process that drives sees the world
            self._driving = view.seen is not None
            if not (self._driving or followed or view.state.phase.ended):
                followed = True
                said = f"another engine drives run {view.name}: following it, and taking over if it dies"
                self._printer.say(Text.assemble(GO, f" {said}"))
            follower(view)

        return show

    async def _interrupted(
        self, view: RunView, ending: type[Interrupted | TimedOut], said: str
    ) -> Interrupted | TimedOut:
        """Take the traffic home, print how that ended, and return what to raise."""
        self._printer.warn(Text.assemble(BAD, f" {said}: taking the traffic home; Ctrl-C again leaves it where it is"))
        with self._following(lambda: "going home; Ctrl-C leaves now") as follower:
            try:
                home = await interruptible(self._session.engine.go_home(view.namespace, view.name, follower))
            except KeyboardInterrupt:
                left = f"{said} twice: the traffic is left where it is, and nobody watches it"
                return Interrupted(left, hint=self._resume(view))
        self._printer.emit(lambda: render.as_json(home), lambda: render.status(home), [render.name(home)])
        if home.state.phase is Phase.SUCCEEDED:
            return ending(f"{said} after the commit point; the run was promoted")
        return ending(f"{said}; the run is {home.state.phase}", hint=f"rollout why {view.name} -n {view.namespace}")

    def _following(self, hint: Callable[[], str]) -> AbstractContextManager[Follower]:
        return following(self._printer, self._session.world.clock, hint, self._story)

    def _resume(self, view: RunView) -> str:
        at = f"{view.spec.plan} -n {view.namespace}"
        return f'rollout start {at} resumes; rollout abort {at} --reason "..." takes ' + (
            "the traffic home" if view.spec.program.adoption is None else "it back"
        )
