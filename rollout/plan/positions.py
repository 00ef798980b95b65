"""YAML with positions: each value's path is mapped to the line and column where it is written.

Differs from `yaml.safe_load` on purpose: a key given twice is an error, timestamps stay strings (as kubectl reads
them), and so does everything that JSON cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

Path = tuple[str | int, ...]
Mark = tuple[int, int]
"""Line and column, counted from 1."""

_MERGE: Final = "tag:yaml.org,2002:merge"
_MOST_VALUES: Final = 100_000
"""Aliases of aliases can make a short text endless."""
_LONGEST: Final = 80
_DEEPEST: Final = 100
"""Nobody nests deeper; everything that reads a document recurses."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is no proper YAML, or means something else than it seems to."""

    mark: Mark
    path: Path
    message: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """One document of a file: plain JSON values, and where each one is written."""

    value: Any
    marks: Mapping[Path, Mark]
    """A field's mark is that of its key, an item's that of the item."""
    scalars: Mapping[Path, str]
    """The text of each scalar, as written: `on` is read as true."""
    problems: tuple[Problem, ...] = ()


class _Loader(yaml.SafeLoader):
    """The safe loader without timestamps; it refuses what is nested too deeply, and puts together what JSON splits."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.depth == _DEEPEST:
            raise _too_deep(self.peek_event().start_mark)  # type: ignore[no-untyped-call]  # its stub has no types
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def compose_scalar_node(self, anchor: dict[Any, yaml.Node]) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        try:
            # JSON escapes a character beyond 16 bits as two halves, which YAML reads as two
            node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise yaml.MarkedYAMLError(problem="half a character", problem_mark=node.start_mark) from None
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text: str) -> Iterator[Source]:
    """The documents of a YAML or JSON text, empty ones left out.  After a syntax error nothing follows."""
    if text.lstrip().startswith(("{", "[")):
        # JSON indented by tabs is legal, and inside JSON strings a raw tab is not: columns stay as they are
        text = text.replace("\t", " ")
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None and node.tag != "tag:yaml.org,2002:null":
                yield _Reader(loader).document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        yield _broken((mark.line + 1, mark.column + 1) if mark else (1, 1), said)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        yield _broken((line, column), f"{error.reason}: #x{error.character:04x}")


def _broken(mark: Mark, message: str) -> Source:
    return Source(None, {}, {}, (Problem(mark, (), message),))


class _Reader:
    """Turns the nodes of one document into values, and notes where they are."""

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self._marks: dict[Path, Mark] = {}
        self._scalars: dict[Path, str] = {}
        self._problems: list[Problem] = []
        self._open: set[int] = set()
        self._count = 0

    def document(self, node: yaml.Node) -> Source:
        """The document below its root node."""
        value = self._value(node, (), _mark(node))
        return Source(value, self._marks, self._scalars, tuple(self._problems))

    def _value(self, node: yaml.Node, path: Path, mark: Mark) -> Any:
        self._marks[path] = mark
        return self._entered(node, path, mark)

    def _entered(self, node: yaml.Node, path: Path, mark: Mark) -> Any:
        """A node's value. Aliases may lead to the same node many times, but not out of itself."""
        self._count += 1
        if self._count > _MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {_MOST_VALUES} values", problem_mark=node.start_mark)
        if len(self._open) == _DEEPEST:
            raise _too_deep(node.start_mark)
        if id(node) in self._open:
            self._problems.append(Problem(mark, path, "an alias may not contain itself"))
            return None
        self._open.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return self._mapping(node, path)
                case yaml.SequenceNode():
                    return [self._value(item, (*path, index), _mark(item)) for index, item in enumerate(node.value)]
                case _:
                    return self._scalar(node, path, mark)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                merged.update(self._merged(value, path))
        own: dict[str, Any] = {}
        for key, value in node.value:
            mark = _mark(key)
            if key.tag == _MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._problems.append(Problem(mark, path, "a key must be a plain word"))
                continue
            below = (*path, key.value)
            if key.value in own:
                first = self._marks[below]
                said = f"{key.value} is given twice; the first one is in line {first[0]}"
                self._problems.append(Problem(mark, below, said, duplicate=True))
                continue
            own[key.value] = self._value(value, below, mark)
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What `<<` brings in: a mapping, or a list of mappings of which the first wins."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            if isinstance(part, yaml.MappingNode):
                merged.update(self._entered(part, path, _mark(part)) or {})
            else:
                self._problems.append(Problem(_mark(part), path, "<< takes a mapping"))
        return merged

    def _scalar(self, node: yaml.Node, path: Path, mark: Mark) -> Any:
        self._scalars[path] = node.value
        try:
            value = self._loader.construct_object(node)
        except yaml.MarkedYAMLError as error:
            self._problems.append(Problem(mark, path, f"{excerpt(node.value)}: {error.problem}"))
            return None
        except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
            # PyYAML's constructors take a text for granted that fits its tag: `!!int ""` is an IndexError
            tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
            self._problems.append(Problem(mark, path, f"{excerpt(node.value)} is not what its tag says: {tag}"))
            return None
        if isinstance(value, int | float) and not _fits(value):
            self._problems.append(Problem(mark, path, f"{excerpt(node.value)} is not a number that JSON knows"))
            return None
        if value is None or isinstance(value, str | bool | int | float):
            return value
        return node.value


def _fits(value: float) -> bool:
    """Whether JSON has this number: its readers make floats of what is beyond their integers."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def excerpt(text: str) -> str:
    """A value as a message can hold it."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _too_deep(mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=f"nested deeper than {_DEEPEST} levels", problem_mark=mark)


def _mark(node: yaml.Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1
