"""A document together with where it was written, so that findings can point at the very line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.plan.finding import Finding, Level
from rollout.plan.objects import Document
from rollout.plan.positions import Mark, Path

_LAST: Final = re.compile(r"(\.[^.\[\]]+|\[\d+\])$|^[^.\[\]]+$")


@dataclass(frozen=True, slots=True)
class Place:
    """A document's name and the positions of its fields. A live object has no source and no positions."""

    kind: str
    name: str
    namespace: str = ""
    source: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """By path in words, `spec.steps[2].weight`: line and column, counted from 1."""

    def position(self, path: str) -> str:
        """`file:line:column` of a field, or of the nearest thing around it that was written."""
        while path and path not in self.marks:
            shorter = _LAST.sub("", path)
            path = shorter if shorter != path else path[:-1]  # a key may hold dots and brackets of its own
        line, column = self.marks.get(path, (1, 1))
        return f"{self.source}:{line}:{column}"

    @property
    def subject(self) -> str:
        """Kind, name and namespace: `CanaryPlan web.shop`."""
        name = f" {self.name}" if self.name else ""
        return self.kind + name + (f".{self.namespace}" if self.namespace else "")

    def finding(self, code: str, level: Level, path: str, message: str, fix: str = "") -> Finding:
        """A finding about one field of the document."""
        if not self.source:
            return Finding(code, level, message, where=f"{self.kind}/{self.name} {path}".strip(), fix=fix)
        return Finding(code, level, message, where=self.position(path), fix=fix, subject=self.subject, path=path)


@dataclass(frozen=True, slots=True)
class Located:
    """One document, parsed, and its place."""

    document: Document
    place: Place

    @property
    def source(self) -> str:
        """The file, `-` for standard input, empty for a live object."""
        return self.place.source

    def position(self, path: str) -> str:
        """`file:line:column` of a field, or of the nearest thing around it that was written."""
        return self.place.position(path)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A document of somebody else's API group: its values, as they are written, and its place."""

    raw: Mapping[str, Any]
    place: Place


def live(document: Document) -> Located:
    """A document that was read from the cluster: findings name the object and the field."""
    meta = document.metadata
    return Located(document, Place(document.kind, meta.name, meta.namespace))


def spell_path(path: Path) -> str:
    """A path in words.

    >>> spell_path(("spec", "steps", 2, "weight"))
    'spec.steps[2].weight'
    """
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")
