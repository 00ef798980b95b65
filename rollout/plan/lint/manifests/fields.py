"""Which fields of a manifest its kind does not have, or has for old times' sake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from rollout.plan.lint.manifests.tables import GROUPS, KINDS
from rollout.plan.located import spell_path
from rollout.plan.positions import Path

_TOKEN: Final = re.compile(r"[\w.@]+|[!~*{}]|\[\]")


@dataclass(frozen=True, slots=True)
class Field:
    """One field, as its kind has it."""

    deprecated: bool = False
    experimental: bool = False
    keyed: bool = False
    """A map from any key to `fields`."""
    fields: Mapping[str, Field] | None = None
    """What is in it, or in each of its items; None when that is not looked at."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A field at a path that its kind does not know (`field` is None), or knows with a reservation."""

    path: Path
    field: Field | None
    siblings: Mapping[str, Field]
    """The fields that there are in its place."""


def odd_fields(kind: str, spec: Any) -> Iterator[Odd]:
    """All odd fields of a spec, in the order they are written; none for kinds without a table."""
    if (known := fields_of(kind)) is not None:
        yield from _odd(spec, ("spec",), known)


@cache
def fields_of(kind: str) -> Mapping[str, Field] | None:
    """The fields of a kind's spec; None without a table."""
    return _parse(KINDS[kind]) if kind in KINDS else None


def homes(kind: str, name: str) -> tuple[str, ...]:
    """The paths in a kind's spec where a field of this name belongs."""
    return tuple(f"spec.{path}" for path in _paths(fields_of(kind) or {}) if path.rpartition(".")[2] == name)


def _odd(value: Any, at: Path, known: Mapping[str, Field]) -> Iterator[Odd]:
    if not isinstance(value, dict):
        return
    for name, below in value.items():
        path = (*at, name)
        field = known.get(name)
        if field is None or field.deprecated or field.experimental:
            yield Odd(path, field, known)
        if field is not None and field.fields is not None:
            for place, inside in _insides(below, path, keyed=field.keyed):
                yield from _odd(inside, place, field.fields)


def _insides(value: Any, at: Path, *, keyed: bool) -> Iterator[tuple[Path, Any]]:
    """The mappings that a field's value holds: itself, or its items."""
    if isinstance(value, list):
        yield from (((*at, index), item) for index, item in enumerate(value))
    elif keyed and isinstance(value, dict):
        yield from (((*at, key), item) for key, item in value.items())
    else:
        yield at, value


def _paths(fields: Mapping[str, Field], at: Path = ()) -> Iterator[str]:
    for name, field in fields.items():
        path = (*at, name)
        yield spell_path(path)
        yield from _paths(field.fields or {}, path)


def _parse(text: str) -> Mapping[str, Field]:
    return _mapping(iter([*_TOKEN.findall(text), "}"]))


def _mapping(words: Iterator[str]) -> Mapping[str, Field]:
    """The fields up to the closing brace."""
    fields: dict[str, Field] = {}
    name, marks, inside = "", "", None

    def done() -> None:
        if name:
            fields[name] = Field("!" in marks, "~" in marks, "*" in marks, inside)

    for word in words:
        if word == "{":
            inside = _mapping(words)
        elif word in {"!", "~", "*", "[]"}:
            marks += word
        else:
            done()
            name, marks, inside = "", "", None
            if word == "}":
                break
            if word.startswith("@"):
                fields.update(_parse(GROUPS[word[1:]]))
            else:
                name = word
    return fields
