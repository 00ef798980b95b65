"""Which Services a pod template names: the hint at callers that no metric has seen yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rollout.plan.base import Json
from rollout.ports.mesh import Unit


def names(caller: Unit, services: Iterable[Json]) -> str:
    """The host by which environment, command or arguments name one of the Services; empty for none.

    A short name counts only where it stands as a host: alone, after `//` or `@`, or before a port.
    """
    words = list(_words(caller))
    for service in services:
        name, home = re.escape(service["metadata"]["name"]), re.escape(service["metadata"]["namespace"])
        long = rf"(?<![\w.-])({name}\.{home})(\.svc(\.cluster\.local)?)?(?![\w-])"
        short = rf"(?:^|//|@)({name})(?::\d|/|$)|(?<![\w.-])({name}):\d"
        pattern = rf"{long}|{short}" if caller.namespace == service["metadata"]["namespace"] else long
        for word in words:
            if found := re.search(pattern, word):
                return next(it for it in found.groups() if it)
    return ""


def _words(unit: Unit) -> Iterator[str]:
    for container in (*(unit.spec.get("initContainers") or ()), *(unit.spec.get("containers") or ())):
        yield from container.get("command") or ()
        yield from container.get("args") or ()
        yield from (variable.get("value") or "" for variable in container.get("env") or ())
