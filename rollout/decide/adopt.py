"""How the instructions of a mesh adoption come true, and how they are undone, line by line of the journal.

What is to be written and when it is there is the mesh driver's business; the engine sees `Progress`.  Unlike a canary,
an adoption that fails need not go all the way home: it goes back to a step of its plan, undoes what was done since,
and is held there until a person says how to go on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout.decide.action import Adopt, Undo
from rollout.decide.event import Event
from rollout.decide.failing import failed
from rollout.decide.onward import anew, enter
from rollout.decide.reason import Reason
from rollout.decide.seen import Progress, Seen
from rollout.decide.turn import MOMENT, NEVER, Decision, block, happen, note, wait
from rollout.plan.program import MeshInstruction, Program, Step, Withdraw
from rollout.plan.run import Entry, RunSpec, State

CONTESTS: Final = 2
"""So often in a step a write is repeated that somebody takes back; then the run waits for its owner."""


def adopt(
    run: RunSpec, state: State, step: Step, index: int, wanted: MeshInstruction, seen: Seen, now: float
) -> Decision | None:
    """The turn that an instruction of an adoption needs, or None when the world shows it done."""
    progress = seen.progress.get(index)
    if progress is None:
        return wait(state, "the mesh has not been looked at yet")
    if progress.done:
        return None
    trouble = progress.trouble
    if trouble is not None and trouble.kind == "broken":
        return failed(state, step, now, Reason.UNIT_BROKEN, f"{step.name}: {trouble.message}")
    if trouble is not None:
        return block(state, now, Reason.UNIT_BLOCKED, trouble.message)
    if not progress.write:
        return wait(state, progress.text)
    action = Adopt(wanted, state.step)
    if not progress.contested:
        return Decision(state, (action,), MOMENT)
    text = f"{progress.text}; somebody else has put back what was there before"
    if run.program.settings.drift != "heal" or len(state.heals) >= CONTESTS:
        text += f"; the run waits until it is written where its owner writes it: rollout handoff {run.plan}"
        return block(state, now, Reason.DRIFT, text)
    healed = replace(state, heals=(*state.heals, now))
    return Decision(note(healed, now, Reason.DRIFT, f"{text}; written again", warning=True), (action,), MOMENT)


def withdraw(run: RunSpec, state: State, wanted: Withdraw, seen: Seen, now: float) -> Decision | None:
    """Undo what one earlier step did; None when none of its lines is left."""
    step = place(run.program, wanted.step)
    return _undo_last(state, [e for e in state.journal if e.kind == "mesh" and e.step == step], seen, now)


def go_back(run: RunSpec, state: State, seen: Seen, now: float) -> Decision:
    """Undo everything since the step that the run returns to, the last line first; then stay there, held."""
    step = place(run.program, state.back)
    turn = _undo_last(state, [e for e in state.journal if (e.step or 0) >= step], seen, now)
    if turn is not None:
        return turn
    why = state.failed.message if state.failed else "a step failed"
    text = f"back before step {step + 1} ({state.back}), what was done before it stays: {why}"
    reason = Reason(state.failed.reason) if state.failed else Reason.ROLLED_BACK
    known = state.failed
    state = enter(replace(state, back="", heals=()), step, now)
    held = happen(state, Event.STOPPED, now, reason, text, warning=True)
    return Decision(replace(held, failed=known, gates=anew(held.gates)), wake=NEVER)


def undo_line(state: State, entry: Entry, seen: Seen, now: float) -> Decision:
    """The next turn towards the world as it was before a line; the line is struck out when it is there."""
    progress = seen.undone.get(entry.key)
    if progress is None:
        return wait(state, "the mesh has not been looked at yet")
    if progress.done:
        rest = tuple(e for e in state.journal if e.key != entry.key)
        return Decision(replace(state, journal=rest, undone=(*state.undone, f"{entry.what}: undone")))
    if progress.trouble is not None:
        return block(state, now, Reason.UNIT_BLOCKED, progress.trouble.message)
    if progress.write:
        return Decision(state, (Undo(entry),), MOMENT)
    return wait(state, _waits(entry, progress))


def place(program: Program, name: str) -> int:
    """The index of a step by its name; compilers see to it that it is there."""
    return next(index for index, step in enumerate(program.steps) if step.name == name)


def _undo_last(state: State, lines: list[Entry], seen: Seen, now: float) -> Decision | None:
    return undo_line(state, lines[-1], seen, now) if lines else None


def _waits(entry: Entry, progress: Progress) -> str:
    return f"{entry.what} is being undone" + (f": {progress.text}" if progress.text else "")
