"""Documents that are nearly right: a sound one with a few of its values broken, moved, doubled or taken away."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

_TIMES = int(os.environ.get("ROLLOUT_FUZZ", "1"))

Path = tuple[str | int, ...]

EDGES: tuple[Any, ...] = (
    *(None, True, False, "", 0, -1, 1, 2**31, 2**63, 10**30, 10**400, 0.5, -0.0, 1e-300, 1e300, 101, 1e16),
    *(
        "x" * 5000,
        "30",
        "30s",
        "0s",
        "1.5m",
        "99%",
        "101%",
        "9" * 15 + "%",
        "9" * 31 + "d",
        "a\n",
        "é\u202e",
        "\U0001f600",
    ),
    *(
        "no",
        "null",
        "~",
        "1:30",
        "${namespace}",
        "${x}",
        "2026-13-45T99:99:99Z",
        "http://a@b",
        [],
        {},
        [[]],
        {"": {}},
        [None],
    ),
)
"""Values at the edges of what YAML, JSON, Python and the API server tell apart."""
VALUES = st.one_of(
    st.sampled_from(EDGES),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.lists(st.integers(0, 9) | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(0, 9) | st.text(max_size=3), max_size=3),
)
"""Anything that JSON can say, near the edges more often."""


def examples(number: int) -> settings:
    """So many examples; `ROLLOUT_FUZZ=50` tries fifty times as many, for a hunt."""
    return settings(max_examples=number * _TIMES)


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """The path of every value inside, the outermost left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*at, key)
        yield from paths(below, (*at, key))


@st.composite
def mutated(draw: st.DrawFn, sound: Any, least: int = 0, most: int = 3, values: st.SearchStrategy[Any] = VALUES) -> Any:
    """A copy of something sound after a few changes."""
    document = copy.deepcopy(sound)
    for _ in range(draw(st.integers(least, most))):
        places = list(paths(document))
        if places:
            _change(draw, document, draw(st.sampled_from(places)), list(paths(sound)), sound, values)
    return document


def _change(
    draw: st.DrawFn, document: Any, place: Path, others: list[Path], sound: Any, values: st.SearchStrategy[Any]
) -> None:
    last: Any = place[-1]
    holder = at(document, place[:-1])
    match draw(st.sampled_from(["replace", "remove", "add", "swap", "wrap", "repeat"])):
        case "replace":
            holder[last] = _own(draw(values))
        case "remove":
            del holder[last]
        case "add" if isinstance(holder, dict):
            holder[draw(st.text(max_size=8) | st.sampled_from([str(p[-1]) for p in others]))] = _own(draw(values))
        case "swap":
            holder[last] = copy.deepcopy(at(sound, draw(st.sampled_from(others))))
        case "wrap":
            holder[last] = draw(st.sampled_from([[holder[last]], {str(last): holder[last]}]))
        case _ if isinstance(holder, list):
            holder.insert(last, copy.deepcopy(holder[last]))
        case _:
            holder[f"{last}2"] = copy.deepcopy(holder[last])


def _own(value: Any) -> Any:
    """A copy: samples are shared by all examples, and the next change may be inside this very one."""
    return copy.deepcopy(value)


def at(document: Any, path: Path) -> Any:
    """The value at a path."""
    for key in path:
        document = document[key]
    return document
