"""The watch: what changes in the cluster, told as it happens, so that nobody has to ask.

A watch never ends by itself and never raises for an outage: it says that it is blind, tries again with growing pauses,
and begins anew with everything that there is.  What was told twice, late or in bursts must not matter to who listens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from rollout.errors import RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """What is watched: a kind, in one namespace or (empty) in all, with a label selector as the API server reads it."""

    kind: Kind
    namespace: str = ""
    selector: str = ""
    """`key`, `key=value`, several with commas; empty for all objects."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything there is; what is not in it is gone. A kind that is not served has nothing."""

    objects: tuple[Json, ...]
    served: bool = True
    version: str = ""
    """The resourceVersion of the list: what was written after it is not in it."""


@dataclass(frozen=True, slots=True)
class Put:
    """An object came or changed."""

    obj: Json


@dataclass(frozen=True, slots=True)
class Gone:
    """An object was deleted, or does not fit the scope any more."""

    ref: Ref
    uid: str
    version: str = ""
    """The resourceVersion at which it went: an object that only left the scope may come back, newer, with its UID."""


@dataclass(frozen=True, slots=True)
class Blind:
    """The watch broke, or cannot begin; what is known may be old until the next `Listed` or `Seeing`.

    Told once, and again when the reason is of another sort: that we may not read, or that nobody answers.
    """

    error: RolloutError


@dataclass(frozen=True, slots=True)
class Seeing:
    """The watch goes on where it broke: nothing was missed."""


Told = Listed | Put | Gone | Blind | Seeing


class Watcher(Protocol):
    """Somebody who tells what changes."""

    def watch(self, scope: Scope) -> AsyncGenerator[Told]:
        """Begin with `Listed` (`Blind` before it if it takes more than one try), then tell every change in order.

        Changes of one object are never told out of order.  Ends only when it is cancelled or closed (`aclose`).
        """
        ...
