"""Where output goes: results to stdout, progress and hints to stderr; colours only for people who look at them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import orjson
import yaml
from rich.console import Console
from rich.text import Text

from rollout.cli.options import Common, Format
from rollout.cli.render import words


class Printer:
    """Prints for one call of the command."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._plain = common.no_color or bool(os.environ.get("NO_COLOR"))
        self.stdout = self._console(sys.stdout)
        self.stderr = self._console(sys.stderr)

    def _console(self, stream: TextIO) -> Console:
        if self._plain:
            return Console(file=stream, highlight=False, markup=False, emoji=False, color_system=None)
        return Console(file=stream, highlight=False, markup=False, emoji=False)

    @property
    def live(self) -> bool:
        """Whether somebody looks at a terminal that can redraw."""
        return self.stderr.is_terminal and not self._common.quiet and os.environ.get("TERM") != "dumb"

    @property
    def wide(self) -> bool:
        """Whether more columns were asked for."""
        return self._common.output is Format.WIDE

    def result(self, text: Text | str) -> None:
        """Print a result."""
        self._print(self.stdout, text)

    def say(self, text: Text | str) -> None:
        """Tell how it goes, unless -q."""
        if not self._common.quiet:
            self._print(self.stderr, text)

    def warn(self, text: Text | str) -> None:
        """Tell what nobody should miss, -q or not."""
        self._print(self.stderr, text)

    def emit(self, data: Callable[[], Any], text: Callable[[], Text | str], names: Iterable[str] = ()) -> None:
        """Print one result in the format that was asked for."""
        match self._common.output:
            case Format.JSON:
                self.stdout.file.write(orjson.dumps(data(), option=orjson.OPT_INDENT_2).decode() + "\n")
            case Format.YAML:
                self.stdout.file.write(yaml.safe_dump(data(), sort_keys=False, allow_unicode=True))
            case Format.NAME:
                for name in names:
                    self.result(name)
            case Format.TABLE | Format.WIDE | Format.SHORT:
                self.result(text())

    def fit(self, text: Text | str) -> Text:
        """The text with signs that this terminal can show."""
        rich = text if isinstance(text, Text) else Text(text)
        return rich if self._unicode(self.stderr.file) else to_ascii(rich)

    def _print(self, console: Console, text: Text | str) -> None:
        rich = text if isinstance(text, Text) else Text(text)
        console.print(rich if self._unicode(console.file) else to_ascii(rich), soft_wrap=True)

    @staticmethod
    def _unicode(stream: Any) -> bool:
        return (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "").startswith("utf")


def to_ascii(text: Text) -> Text:
    """The text without signs that are not in ASCII; the colours stay where lengths allow."""
    plain = text.plain.translate(words.ASCII).encode("ascii", "replace").decode()
    return Text(plain, spans=text.spans if len(plain) == len(text.plain) else [])


def confirmed(printer: Printer, question: str, *, yes: bool) -> bool:
    """Whether to go on: --yes, or a person at a terminal says so."""
    if yes:
        return True
    if not (sys.stdin.isatty() and printer.stderr.is_terminal):
        return False
    printer.stderr.print(printer.fit(f"{question} [y/N] "), end="", soft_wrap=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
