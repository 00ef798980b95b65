"""Which Services a pod template names: the hint at callers that no metric has seen yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from rollout.ports.mesh import Unit

_HOST: Final = re.compile(r"(?<![\w.-])([a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*)(?![\w-])")
_BEFORE: Final = ("//", "@")
"""What stands before a host."""
_PORT: Final = re.compile(r":\d")


def hosts(unit: Unit) -> Mapping[str, str]:
    """By Service (`name.namespace`), the host that environment, command or arguments name.

    A short name counts only where it stands as a host: alone, after `//` or `@`, or before a port.
    """
    found: dict[str, str] = {}
    for word in _words(unit):
        for match in _HOST.finditer(word):
            parts = match[1].split(".")
            if len(parts) > 1:
                found.setdefault(f"{parts[0]}.{parts[1]}", f"{parts[0]}.{parts[1]}")
            elif _stands_alone(word, match):
                found.setdefault(f"{parts[0]}.{unit.namespace}", parts[0])
    return found


def _stands_alone(word: str, match: re.Match[str]) -> bool:
    before, after = word[: match.start()], word[match.end() :]
    if _PORT.match(after):
        return True
    return (not before or before.endswith(_BEFORE)) and (not after or after.startswith("/"))


def _words(unit: Unit) -> Iterator[str]:
    for container in (*(unit.spec.get("initContainers") or ()), *(unit.spec.get("containers") or ())):
        yield from container.get("command") or ()
        yield from container.get("args") or ()
        yield from (variable.get("value") or "" for variable in container.get("env") or ())
