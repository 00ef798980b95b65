"""Which plan waits for which: circles, in which nobody would ever begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def circle(name: str, waits: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The plans that lead from this one back to it by what they wait for, itself first and last; empty without any.

    >>> circle("a", {"a": ["b"], "b": ["c"], "c": ["b", "a"]})
    ('a', 'b', 'c', 'a')
    """
    seen: set[str] = {name}
    paths: list[tuple[str, ...]] = [(name,)]
    while paths:
        path = paths.pop(0)
        for other in waits.get(path[-1], ()):
            if other == name:
                return (*path, name)
            if other not in seen:
                seen.add(other)
                paths.append((*path, other))
    return ()
