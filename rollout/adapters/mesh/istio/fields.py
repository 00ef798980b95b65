"""Fields of objects: which ones differ from what is wanted, and the JSON patch that changes exactly these.

What is wanted is written as a nested map that names only the fields which are meant; lists are taken whole.  Each
changed field remembers what it was, so that it can be put back; maps that had to be made for it are remembered as well,
and go when they are empty again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from rollout.plan.base import Json

Path = tuple[str, ...]
"""The keys from the object's top to the field."""


class _Gone(Enum):
    GONE = "gone"


GONE: Final = _Gone.GONE
"""Stands for a field that is not there."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field with another value; `GONE` for a field that is not there."""

    path: Path
    before: Any
    after: Any


def pointer(path: Path) -> str:
    """The path as an RFC 6901 JSON pointer."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def parsed(text: str) -> Path:
    """The path behind a JSON pointer."""
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in text.split("/")[1:])


def nested(path: Path, value: Any) -> Json:
    """A map in which one field is wanted."""
    for key in reversed(path):
        value = {key: value}
    found: Json = value
    return found


def at(obj: Mapping[str, Any], path: Path) -> Any:
    """What a field holds."""
    node: Any = obj
    for key in path:
        if not isinstance(node, Mapping) or key not in node:
            return GONE
        node = node[key]
    return node


def covers(now: Any, wanted: Any) -> bool:
    """Whether a value is as wanted; maps may hold more, for API servers fill in defaults, and drop nulls."""
    if wanted is None:
        return True
    if isinstance(wanted, Mapping):
        return isinstance(now, Mapping) and all(covers(now.get(key, GONE), it) for key, it in wanted.items())
    if isinstance(wanted, list):
        pairs = isinstance(now, list) and len(now) == len(wanted) and zip(now, wanted, strict=True)
        return pairs is not False and all(covers(one, it) for one, it in pairs)
    return same(now, wanted)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; a truth is no number."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path = ()) -> Iterator[Field]:
    """The fields that are not as wanted."""
    for key, value in wanted.items():
        here, now = (*path, key), found.get(key, GONE)
        if isinstance(value, Mapping) and value and (now is GONE or isinstance(now, Mapping)):
            yield from differing({} if now is GONE else now, value, here)
        elif not covers(now, value):
            yield Field(here, now, value)


def missing(found: Mapping[str, Any], fields: Iterable[Field]) -> tuple[Path, ...]:
    """The maps that have to be made, so that these fields can be there."""
    paths = [it.path for it in fields if it.after is not GONE]
    above = {path[:length] for path in paths for length in range(1, len(path))}
    return tuple(sorted(it for it in above if not isinstance(at(found, it), Mapping)))


def changing(found: Json, values: Iterable[tuple[Path, Any]], emptied: Sequence[Path] = ()) -> list[Json]:
    """The JSON patch that gives fields these values; then maps among `emptied` that hold nothing are taken away."""
    work, ops = deepcopy(found), list[Json]()
    for path, value in values:
        ops += _set(work, path, value)
    for path in sorted(emptied, key=len, reverse=True):
        if at(work, path) == {}:
            ops += _set(work, path, GONE)
    return ops


def gathered(fields: Iterable[Field]) -> Json:
    """The values that were given, as one nested map."""
    work: Json = {}
    for it in fields:
        if it.after is not GONE:
            _set(work, it.path, it.after)
    return work


def _set(work: Json, path: Path, value: Any) -> list[Json]:
    ops: list[Json] = []
    node = work
    for length, key in enumerate(path[:-1], 1):
        if not isinstance(node.get(key), dict):
            if value is GONE:
                return []
            ops.append({"op": "add", "path": pointer(path[:length]), "value": {}})
            node[key] = {}
        node = node[key]
    if value is not GONE:
        node[path[-1]] = deepcopy(value)
        return [*ops, {"op": "add", "path": pointer(path), "value": value}]
    if path[-1] not in node:
        return []
    del node[path[-1]]
    return [{"op": "remove", "path": pointer(path)}]
