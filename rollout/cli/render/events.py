"""The events of a plan: what Kubernetes keeps for an hour, and what its runs remember, as one story."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from rollout.cli.render.words import Cell, columns, stamp
from rollout.controller.view import RunView
from rollout.plan.base import Json, epoch

_ROOM = 1024
"""So much of a message fits into an Event."""


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One thing that happened."""

    at: float
    about: str
    """`PlanRun/web-82757-1`."""
    reason: str
    message: str
    warning: bool = False
    count: int = 1

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Equal for a note and the Event that was made of it (an Event's time has whole seconds)."""
        return self.about, self.reason, self.message[:_ROOM], int(self.at)


def of_run(view: RunView) -> list[Line]:
    """What a run remembers."""
    about = f"PlanRun/{view.name}"
    return [Line(n.at, about, n.reason, n.message, n.warning) for n in view.state.notes]


def of_event(event: Json) -> Line:
    """An Event of events.k8s.io/v1, made by whatever API it was."""
    about, series = event.get("regarding") or {}, event.get("series") or {}
    when = series.get("lastObservedTime") or event.get("deprecatedLastTimestamp") or event.get("eventTime")
    return Line(
        epoch(when or event["metadata"]["creationTimestamp"]),
        f"{about.get('kind')}/{about.get('name')}",
        event.get("reason") or "",
        event.get("note") or "",
        event.get("type") == "Warning",
        series.get("count") or event.get("deprecatedCount") or 1,
    )


def merged(notes: Iterable[Line], events: Iterable[Line]) -> list[Line]:
    """Oldest first, without the Events that say what a note says."""
    told = {line.key: line for line in events} | {line.key: line for line in notes}
    return sorted(told.values())


def table(lines: Iterable[Line], *, head: bool = True) -> list[Text]:
    """One line each, oldest first."""
    names: list[list[Cell]] = [["TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"]] if head else []
    return columns([*names, *(_cells(line) for line in lines)])


def _cells(line: Line) -> list[Cell]:
    when = datetime.fromtimestamp(line.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    kind = Text("Warning", "yellow") if line.warning else "Normal"
    times = f" (x{line.count})" if line.count > 1 else ""
    return [when, kind, line.reason, line.about, " ".join(line.message.split()) + times]


def as_json(line: Line) -> dict[str, Any]:
    """The same for machines."""
    kind, _, name = line.about.partition("/")
    return {
        "at": stamp(line.at),
        "type": "Warning" if line.warning else "Normal",
        "reason": line.reason,
        "object": {"kind": kind, "name": name},
        "message": line.message,
        "count": line.count,
    }
