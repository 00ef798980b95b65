"""Following a run: a live view at a terminal, plain lines elsewhere; both on stderr.

Used by the verbs that drive a run (`start`, `abort`, `demo`) and by the one that only looks (`watch`).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from rich.live import Live
from rich.text import Text

from rollout.cli.out import Printer
from rollout.cli.render.live import note, screen
from rollout.cli.render.words import clock, sign
from rollout.controller.view import RunView
from rollout.plan.run import Note, Phase
from rollout.ports.clock import Clock

T = TypeVar("T")


class Follower(Protocol):
    """Is shown each turn of a run."""

    def __call__(self, view: RunView) -> None:
        """Show the newest view."""
        ...


@contextmanager
def following(
    printer: Printer, clock_: Clock, hint: Callable[[], str], story: Story | None = None
) -> Iterator[Follower]:
    """A follower for this terminal; what is on the screen at the end stays there. A `story` is gone on with."""
    if not printer.live:
        yield story or Story(printer)
        return
    picture = Picture(printer, clock_, hint)
    with Live(
        get_renderable=picture.draw,
        console=printer.stderr,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield picture


class Picture:
    """The live view: time goes on between two turns."""

    def __init__(self, printer: Printer, clock_: Clock, hint: Callable[[], str]) -> None:
        self._printer, self._clock, self._hint = printer, clock_, hint
        self._view: RunView | None = None

    def __call__(self, view: RunView) -> None:
        """Remember what is to be drawn next. A view without pods keeps those seen before."""
        seen = view.seen or (self._view.seen if self._view else None)
        self._view = replace(view, seen=seen)

    def draw(self) -> Text:
        """What the terminal shows now."""
        if self._view is None:
            return Text("...")
        view = replace(self._view, now=self._clock.now())
        return self._printer.fit(screen(view, self._hint(), self._printer.stderr.width))


class Story:
    """Plain lines: each note once, each new phase once."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._last: Note | None = None
        self._phase: Phase | None = None
        self._waiting = ""

    def __call__(self, view: RunView) -> None:
        """Print what is new."""
        notes = view.state.notes
        known = notes.index(self._last) + 1 if self._last in notes else 0
        for line in notes[known:]:
            self._printer.say(note(line))
        self._last = notes[-1] if notes else None
        self._tell_phase(view)

    def _tell_phase(self, view: RunView) -> None:
        state = view.state
        told, self._phase = self._phase, state.phase
        if state.phase is not told:
            step = f"step {state.step + 1}/{len(view.spec.program.steps)}"
            self._printer.say(Text.assemble(f"  {clock(view.now)} ", sign(state.phase), f" {state.phase} {step}"))


async def interruptible(work: Coroutine[Any, Any, T], limit: float | None = None) -> T:
    """Do the work until it is done, a signal comes, or the limit (seconds) is over.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; the work has been cancelled.
        TimeoutError: the time is over; the work has been cancelled.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        done, _ = await asyncio.wait({task, stopped}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
        raise KeyboardInterrupt if stopped in done else TimeoutError
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
        for left in (task, stopped):
            left.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)
