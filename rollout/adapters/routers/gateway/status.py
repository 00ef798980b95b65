"""Whether a controller has looked at a route as it is written now, and what it says of it.

A route has a status for each parent, written by that parent's controller: `Accepted`, and `ResolvedRefs` for its
destinations.  A condition counts only if it is of the present generation; Linkerd's controller never says of which it
is, so its word is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.plan.base import Json

_WANTED: Final = ("Accepted", "ResolvedRefs")


def pending(obj: Json) -> str:
    """Why nobody can say yet whether it holds; empty when each of its parents' controllers has looked."""
    parents = _parents(obj)
    if not parents:
        return "no controller has looked at it"
    now = obj["metadata"].get("generation", 0)
    for parent in parents:
        conditions = list(_conditions(parent))
        seen = [it["observedGeneration"] for it in conditions if it.get("observedGeneration") is not None]
        if not conditions or min(seen, default=now) < now:
            return f"{parent.get('controllerName', 'its controller')} has not looked at its generation {now} yet"
    return ""


def refused(obj: Json) -> str:
    """The first condition that is not true, in its controller's words."""
    for parent in _parents(obj):
        for condition in _conditions(parent):
            if condition.get("status") != "True":
                said = ": ".join(it for it in (condition.get("reason"), condition.get("message")) if it)
                return f"{parent.get('controllerName', 'its controller')} says {condition['type']} is not so ({said})"
    return ""


def _parents(obj: Json) -> list[Json]:
    return list((obj.get("status") or {}).get("parents") or ())


def _conditions(parent: Json) -> Iterator[Json]:
    return (it for it in parent.get("conditions") or () if it.get("type") in _WANTED)
