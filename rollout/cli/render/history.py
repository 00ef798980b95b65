"""The runs of a plan: how each ended, what it tried, when, how long, who began it and why it ended so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from rollout.cli.render.plan import change
from rollout.cli.render.run import position
from rollout.cli.render.words import BAD, Cell, columns, headline, length, lines, stamp
from rollout.controller.view import RunView, StoredRun, UnreadRun
from rollout.plan.base import epoch

Revisions = Mapping[str, int]
"""Revision number of the Deployment (`kubectl rollout history`) by digest of the pod template."""


def table(runs: Sequence[StoredRun], revisions: Revisions, *, wide: bool) -> Text:
    """One line for each run."""
    head: list[Cell] = ["RUN", "REV", "OUTCOME", "VERSIONS", "STARTED", "TOOK", "BY", *(["AT"] * wide), "WHY"]
    return lines(columns([head, *(_cells(view, revisions, wide=wide) for view in runs)]))


def _cells(view: StoredRun, revisions: Revisions, *, wide: bool) -> list[Cell]:
    if isinstance(view, UnreadRun):
        return _known(view, wide=wide)
    state, revision = view.state, view.spec.revision
    versions = change(revision.stable_images, revision.images).removeprefix("image ")
    line: list[Cell] = [view.name, str(revisions.get(revision.digest, "-")), headline(state.phase), versions or "-"]
    line += [_when(state.started), length(took(view)) if state.started else "-", view.spec.started_by or "-"]
    if wide:
        line.append(position(view))
    return [*line, why(view) if wide else reason(view)]


def _known(unread: UnreadRun, *, wide: bool) -> list[Cell]:
    """A run that cannot be read: what its status shows to everybody."""
    status, began = unread.status, _moment(unread, "startedAt")
    ended = _moment(unread, "endedAt")
    phase = Text.assemble(BAD, f" Unreadable ({status['phase']})" if status.get("phase") else " Unreadable")
    line: list[Cell] = [unread.name, "-", phase, "-", _when(began), length(ended - began) if began and ended else "-"]
    line.append(str(unread.run["spec"].get("startedBy") or "-"))
    if wide:
        line.append(f"step {status['step']}" if status.get("step") else "-")
    return [*line, " ".join(str(unread.error).split()) if wide else "Unreadable"]


def _moment(unread: UnreadRun, name: str) -> float:
    """A time of the status; 0 where there is none."""
    return epoch(unread.status[name]) if unread.status.get(name) else 0.0


def took(view: RunView) -> float:
    """Seconds from its start to its end, or until now."""
    return max(0.0, (view.state.ended or view.now) - view.state.started) if view.state.started else 0.0


def reason(view: RunView) -> str:
    """Why it is as it is, in one word."""
    return (view.state.failed.reason if view.state.failed else view.state.reason) or "-"


def why(view: RunView) -> str:
    """The same as a sentence on one line."""
    said = view.state.failed.message if view.state.failed else view.state.message
    return " ".join(said.split()) or "-"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M") if at else "-"


def as_json(view: StoredRun, revisions: Revisions) -> dict[str, Any]:
    """The same for machines; `unreadable` says why nothing else is known of a run."""
    if isinstance(view, UnreadRun):
        return _known_json(view)
    state, revision = view.state, view.spec.revision
    return {
        "run": view.name,
        "attempt": view.spec.attempt,
        "revision": revision.digest,
        "deploymentRevision": revisions.get(revision.digest),
        "outcome": str(state.phase),
        "ended": stamp(state.ended),
        "started": stamp(state.started or None),
        "seconds": round(took(view), 3),
        "images": {"stable": dict(revision.stable_images), "candidate": dict(revision.images)},
        "step": state.step + 1,
        "steps": len(view.spec.program.steps),
        "by": view.spec.started_by,
        "reason": reason(view),
        "message": why(view),
        "unreadable": None,
    }


def _known_json(unread: UnreadRun) -> dict[str, Any]:
    status = unread.status
    return {
        "run": unread.name,
        "attempt": unread.run["spec"].get("attempt"),
        "outcome": status.get("phase"),
        "ended": status.get("endedAt"),
        "started": status.get("startedAt"),
        "by": unread.run["spec"].get("startedBy") or "",
        "reason": status.get("reason") or "",
        "message": status.get("message") or "",
        "unreadable": str(unread.error),
    }
