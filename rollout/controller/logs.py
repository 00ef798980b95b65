"""Logs as JSON lines: a constant message and keys, the run's name everywhere; nothing that could hold a secret."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

import orjson

from rollout.controller.view import RunView
from rollout.plan.run import State, news

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest was given as keys."""
log = logging.getLogger("rollout.run")


class JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _PLAIN},
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # a broken character, a key that is no text: better as mere text than not at all
            plain = {key: str(value).encode(errors="backslashreplace").decode() for key, value in line.items()}
            return orjson.dumps(plain).decode()


def to_stderr(level: int = logging.INFO) -> None:
    """Send all logs of this process to stderr as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def story(view: RunView, before: State) -> None:
    """What happened to a run, a line each."""
    for note in news(before, view.state):
        keys = {
            "namespace": view.namespace,
            "plan": view.spec.plan,
            "run": view.name,
            "phase": str(view.state.phase),
            "step": view.state.step + 1,
            "detail": note.message,
        }
        log.log(logging.WARNING if note.warning else logging.INFO, note.reason, extra=keys)
