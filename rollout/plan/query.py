"""Queries with holes: `${name}` in PromQL. `${1}`, which `label_replace` uses, is no hole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

VARIABLES: Final = frozenset({"namespace", "workload", "candidate", "service", "window"})
"""What every query may name; `window` is the gate's, the others are the plan's."""

_HOLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Hexadecimal escapes end no string, whichever quotes the author of the query chose.
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\x22", "'": r"\x27", "`": r"\x60", "\n": r"\n"})


def names(query: str) -> tuple[str, ...]:
    """The variables that a query names, each once, in order.

    >>> names("a{x='${b}'}[${window}]")
    ('b', 'window')
    """
    return tuple(dict.fromkeys(_HOLE.findall(query)))


def fill(query: str, values: Mapping[str, str]) -> str:
    """The query with a value for every variable, escaped for use inside a PromQL string.

    Raises:
        KeyError: a variable without a value.
    """
    return _HOLE.sub(lambda hole: values[hole[1]].translate(_ESCAPES), query)
