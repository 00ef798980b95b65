"""Following a run: plain lines without repetition, and a picture in which time goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rollout.adapters.memory.clock import VirtualClock
from rollout.cli.follow import Picture, Story, interruptible
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.controller.view import RunView
from rollout.plan.run import Note, Phase, State
from tests.kit.builders import candidate, progressing, run, seen


def view(state: State) -> RunView:
    return RunView("shop", "web-1", "uid", run(), state, 100.0, seen(candidate=candidate(2)))


def test_each_note_and_each_phase_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(Printer(Common()))
    first = progressing(notes=(Note(91.0, "Started", "the run begins"),))
    second = replace(first, notes=(*first.notes, Note(95.0, "WeightSet", "10 % of the requests")))
    for state in (first, first, second, second, replace(second, phase=Phase.PAUSED)):
        story(view(state))
    told = capsys.readouterr().err
    assert [told.count(word) for word in ("Started", "WeightSet", "Progressing", "Paused")] == [1, 1, 1, 1]


def test_notes_that_fell_off_the_record_are_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(Printer(Common()))
    notes = tuple(Note(90.0 + n, "WeightSet", f"note {n};") for n in range(5))
    story(view(progressing(notes=notes[:4])))
    story(view(progressing(notes=notes[2:])))
    told = capsys.readouterr().err
    assert [told.count(f"note {n};") for n in range(5)] == [1, 1, 1, 1, 1]


def test_quiet_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Story(Printer(Common(quiet=True)))(view(progressing(notes=(Note(91.0, "Started", "x"),))))
    assert capsys.readouterr().err == ""


def test_the_clock_of_the_picture_goes_on_between_two_turns() -> None:
    clock = VirtualClock(start=100.0)
    picture = Picture(Printer(Common()), clock, lambda: "the hint")
    assert picture.draw().plain == "..."
    picture(view(progressing()))
    assert "elapsed 10s" in picture.draw().plain
    clock.run(20)
    assert "elapsed 30s" in picture.draw().plain
    assert "the hint" in picture.draw().plain


def test_pods_that_were_seen_stay_in_the_picture() -> None:
    picture = Picture(Printer(Common()), VirtualClock(start=100.0), str)
    picture(view(progressing()))
    picture(replace(view(progressing()), seen=None))
    assert "2/2 ready" in picture.draw().plain


async def test_work_that_takes_too_long_is_cancelled() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError):
        await interruptible(work(), limit=0.001)
    assert ended == ["cancelled"]


async def test_work_that_fails_says_so() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await interruptible(work())
