"""Conditions over several numbers, in the small part of CEL that compares and combines numbers.

An expression may name numbers, and compare, add, subtract, multiply and combine them; nothing else.  There are no
calls, lists or texts, so that it is evaluated in the time that it takes to read it, and no division: 0/0 is neither
true nor false, and no data must not become bad data.  A quotient belongs into the query, or on the other side:
`errors < 0.01 * requests`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rollout.errors import InvalidInput

if TYPE_CHECKING:
    from cel import Program

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
"""What a condition can call a number."""
RESERVED: Final = frozenset({"true", "false", "null", "in"})
_READABLE: Final = re.compile(r"[\w\s.+\-*<>=!&|?:()]*", re.ASCII)
_OPERATORS: Final = frozenset(
    {"_&&_", "_||_", "!_", "_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_", "_+_", "_-_", "_*_", "-_", "_?_:_"}
)
_SYNTAX: Final = re.compile(r"<input>:\d+:(\d+): (?:Syntax error: )?(.*)")
_TRIED: Final = (0.0, 1e9, -1e9)
"""What each number is once, in every combination with the others, to see what a condition makes of it."""
_LONGEST: Final = 200
_DEEPEST: Final = 20


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Program:
    import cel  # half a second, which only plans with conditions need

    return cel.compile(text)


def mistake(text: str) -> str:
    """Why a condition cannot be read or evaluated; empty when it can.  Says where in the text, from 1 on."""
    found = _unreadable(text)
    if found:
        return found
    try:
        program = _compiled(text)
    except ValueError as error:
        where = _SYNTAX.search(str(error))
        return f"it is no CEL: {where[2][:_LONGEST]} (character {where[1]})" if where else "it is no CEL"
    foreign = [name for name in program.functions() if name not in _OPERATORS]
    if foreign:
        return f"it uses {foreign[0].strip('_@')}, which is none of && || ! < <= > >= == != + - * ?:"
    return next((said for values in _combinations(program.variables()) if (said := _tried(text, values))), "")


def names(text: str) -> tuple[str, ...]:
    """The numbers that a condition without a mistake names, sorted."""
    return tuple(_compiled(text).variables())


def holds(text: str, values: Mapping[str, float]) -> bool:
    """Whether a condition is true of these numbers.

    Raises:
        InvalidInput: it cannot be told, because of a mistake in the condition.
    """
    try:
        found = _compiled(text).execute({name: float(value) for name, value in values.items()})
    except (ValueError, TypeError, RuntimeError, OverflowError, ArithmeticError) as error:
        raise InvalidInput(f"the condition cannot be evaluated: {str(error)[:_LONGEST]}") from None
    if not isinstance(found, bool):
        raise InvalidInput(f"the condition is {found}, not true or false")
    return found


def _unreadable(text: str) -> str:
    readable = _READABLE.match(text)
    end = readable.end() if readable else 0
    if end < len(text):
        said = "; write a quotient in the query, or multiply the other side" if text[end] in "/%" else ""
        return f"{text[end]!r} at character {end + 1} is no part of a condition{said}"
    depths = itertools.accumulate((letter == "(") - (letter == ")") for letter in text)
    return f"more than {_DEEPEST} brackets are open at once" if max(depths, default=0) > _DEEPEST else ""


def _combinations(variables: Collection[str]) -> Iterator[Mapping[str, float]]:
    """Every number low, high and nothing."""
    for values in itertools.product(_TRIED, repeat=len(variables)):
        yield dict(zip(variables, values, strict=True))


def _tried(text: str, values: Mapping[str, float]) -> str:
    """What is wrong with the condition of these numbers."""
    try:
        holds(text, values)
    except InvalidInput as error:
        message = str(error)
        number = "float" in message and "int" in message
        return message + (": write whole numbers as 2.0 where they are added or multiplied" if number else "")
    return ""
