"""PromQL read into a tree: the part of the language that gates and drivers write. Pure.

Left out: subqueries, `@`, `label_replace`, and aggregations with a parameter.  What is left out is an error, never
another answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

T = TypeVar("T")


class QueryError(ValueError):
    """The query cannot be read, or cannot be answered; says why as Prometheus would."""


@dataclass(frozen=True, slots=True)
class Number:
    """`0.5`."""

    value: float


@dataclass(frozen=True, slots=True)
class Matcher:
    """`code!~"5.."`. `wanted` matches whole values; an absent label is the empty string."""

    label: str
    wanted: re.Pattern[str]
    refuses: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels have such a value."""
        return (self.wanted.fullmatch(labels.get(self.label, "")) is None) is self.refuses


@dataclass(frozen=True, slots=True)
class Selector:
    """`requests{code="200"}[5m] offset 1h`; `length` is 0 without brackets."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    length: float = 0.0
    offset: float = 0.0

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels, its name among them, is meant."""
        return self.name in ("", labels["__name__"]) and all(it.holds(labels) for it in self.matchers)


@dataclass(frozen=True, slots=True)
class Call:
    """`rate(...)`."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`sum by (pod) (...)`. `labels` are kept, or left out."""

    op: str
    inner: Node
    labels: tuple[str, ...] = ()
    without: bool = False


@dataclass(frozen=True, slots=True)
class Binary:
    """`a / on (pod) b`."""

    op: str
    left: Node
    right: Node
    boolean: bool = False
    labels: tuple[str, ...] | None = None
    """Of `on` or `ignoring`; None for neither."""
    on: bool = False


Node = Number | Selector | Call | Aggregate | Binary

AGGREGATIONS: Final = ("sum", "min", "max", "avg", "count", "group")
_LEVELS: Final = (
    ("or",),
    ("and", "unless"),
    ("==", "!=", "<=", ">=", "<", ">"),
    ("+", "-"),
    ("*", "/", "%"),
)
COMPARISONS: Final = _LEVELS[2]
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<duration>(?:\d+(?:ms|[smhdwy]))+)(?![\w])
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf\b|NaN\b)
      | (?P<word>[A-Za-z_:][\w:]*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],])
    )""",
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def parse(query: str) -> Node:
    """Read a query.

    Raises:
        QueryError: it is none, or uses what is left out here.
    """
    parser = _Parser(query)
    node = parser.expression()
    parser.end()
    return node


def _tokens(query: str) -> list[tuple[str, str]]:
    found, place, query = [], 0, query.rstrip()
    while place < len(query):
        match = _TOKEN.match(query, place)
        if match is None:
            raise QueryError(f"parse error: unexpected {query[place : place + 12].strip()!r}")
        found.append((match.lastgroup or "", match[match.lastgroup or 0]))
        place = match.end()
    return [*found, ("end", "")]


class _Parser:
    """Recursive descent, one method per thing that has a name in the grammar."""

    def __init__(self, query: str) -> None:
        self._tokens = _tokens(query)
        self._place = 0

    def expression(self, level: int = 0) -> Node:
        """Operators of this level and those that bind closer."""
        if level == len(_LEVELS):
            return self._unary()
        left = self.expression(level + 1)
        while self._peek() in _LEVELS[level]:
            op = self._next()
            boolean = op in COMPARISONS and self._take("bool")
            on = self._peek() == "on"
            labels = self._labels() if self._take("on") or self._take("ignoring") else None
            left = Binary(op, left, self.expression(level + 1), boolean, labels, on)
        return left

    def end(self) -> None:
        """Nothing may be left."""
        if self._tokens[self._place][0] != "end":
            raise QueryError(f"parse error: unexpected {self._peek()!r}")

    def _unary(self) -> Node:
        if self._take("-"):
            return Binary("*", Number(-1.0), self._unary())
        self._take("+")
        base = self._atom()
        return Binary("^", base, self._unary()) if self._take("^") else base

    def _atom(self) -> Node:
        kind, text = self._tokens[self._place]
        if kind == "number":
            self._place += 1
            return Number(float(text))
        if self._take("("):
            inner = self.expression()
            self._need(")")
            return inner
        if text == "{":
            return self._selector("")
        if kind != "word":
            raise QueryError(f"parse error: unexpected {text!r}")
        self._place += 1
        if text in AGGREGATIONS and self._peek() in ("(", "by", "without"):
            return self._aggregate(text)
        if self._take("("):
            return Call(text, self._until(")", self.expression))
        return self._selector(text)

    def _aggregate(self, op: str) -> Node:
        labels, without = self._grouping()
        self._need("(")
        inner = self.expression()
        self._need(")")
        if not labels and not without:
            labels, without = self._grouping()
        return Aggregate(op, inner, labels, without)

    def _grouping(self) -> tuple[tuple[str, ...], bool]:
        if self._take("by"):
            return self._labels(), False
        return (self._labels(), True) if self._take("without") else ((), False)

    def _labels(self) -> tuple[str, ...]:
        self._need("(")
        return self._until(")", lambda: self._want("word"))

    def _selector(self, name: str) -> Node:
        matchers = self._until("}", self._matcher) if self._take("{") else ()
        length = 0.0
        if self._take("["):
            length = _seconds(self._want("duration"))
            self._need("]")
        offset = _seconds(self._want("duration")) if self._take("offset") else 0.0
        if not name and not any(it.label == "__name__" for it in matchers):
            raise QueryError("parse error: a selector needs a name")
        return Selector(name, matchers, length, offset)

    def _matcher(self) -> Matcher:
        label, op, text = self._want("word"), self._next(), _unquoted(self._want("text"))
        if op not in ("=", "!=", "=~", "!~"):
            raise QueryError(f"parse error: unexpected {op!r}")
        try:
            wanted = re.compile(text if op.endswith("~") else re.escape(text))
        except re.error as error:
            raise QueryError(f"parse error: {text!r}: {error}") from error
        return Matcher(label, wanted, refuses=op.startswith("!"))

    def _until(self, end: str, one: Callable[[], T]) -> tuple[T, ...]:
        """Things between commas, up to and with `end`."""
        found: list[T] = []
        while not self._take(end):
            if found:
                self._need(",")
                if self._take(end):
                    break
            found.append(one())
        return tuple(found)

    def _peek(self) -> str:
        return self._tokens[self._place][1]

    def _next(self) -> str:
        text = self._peek()
        self._place += 1
        return text

    def _take(self, text: str) -> bool:
        if self._tokens[self._place] not in (("sign", text), ("word", text)):
            return False
        self._place += 1
        return True

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise QueryError(f"parse error: {text!r} expected, not {self._peek()!r}")

    def _want(self, kind: str) -> str:
        if self._tokens[self._place][0] != kind:
            raise QueryError(f"parse error: a {kind} expected, not {self._peek()!r}")
        return self._next()


def _seconds(text: str) -> float:
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda it: {"n": "\n", "t": "\t"}.get(it[1], it[1]), text[1:-1])
