"""ChangeFreeze as people write it: when nothing may change, whatever the plans say.

Pure: the time comes from outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar

from pydantic import Field

from rollout.plan.base import Model, Moment, Rule, epoch
from rollout.plan.window import Some

_PATTERN = r"^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$"


class FreezeSpec(Model):
    """Runs that it concerns stay where they are, and none begins. What fails goes home as ever."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO368",
            "!has(self.since) || !has(self.until) || timestamp(self.since) < timestamp(self.until)",
            "until is later than since",
            lambda it: it.since is None or it.until is None or epoch(it.since) < epoch(it.until),
        ),
    )

    reason: Annotated[str, Field(min_length=1, max_length=256)]
    """Why, for whoever is kept waiting."""
    since: Moment | None = None
    """From when on it is in force; at once when absent."""
    until: Moment | None = None
    """When it ends; when it is deleted, if absent."""
    windows: Some = ()
    """Only in these, where there are some: every Friday night."""
    namespaces: tuple[Annotated[str, Field(pattern=_PATTERN, max_length=63)], ...] = Field(default=(), max_length=64)
    """The namespaces that it is about; `*` stands for any text, `team-*`. All when there are none."""
    plans: dict[str, Annotated[str, Field(max_length=63)]] = Field(default={}, max_length=16)
    """Labels of the plans that it is about. All when there are none."""

    def concerns(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether it is about a plan of this namespace with these labels."""
        where = not self.namespaces or any(fnmatchcase(namespace, it) for it in self.namespaces)
        return where and all(labels.get(key) == value for key, value in self.plans.items())

    def end(self, now: float) -> float | None:
        """When it ends, as it stands `now`: infinity when nobody knows; None when it is not in force.

        Raises:
            InvalidInput: the start or the time zone of a window cannot be read.
        """
        last = epoch(self.until) if self.until is not None else math.inf
        if now >= last or (self.since is not None and now < epoch(self.since)):
            return None
        if not self.windows:
            return last
        ends = [end for it in self.windows if (end := it.end(now)) is not None]
        return min(max(ends), last) if ends else None

    @property
    def zone(self) -> str:
        """Whose clock people are told its end by."""
        return next((it.time_zone for it in self.windows), "UTC")


@dataclass(frozen=True, slots=True)
class Freeze:
    """A freeze that is about a plan."""

    name: str
    spec: FreezeSpec | None
    """None: it cannot be read."""


def about(freezes: Iterable[Freeze], namespace: str, labels: Mapping[str, str]) -> tuple[Freeze, ...]:
    """Those that are about a plan; those that cannot be read are, for nobody knows whom they are about."""
    return tuple(it for it in freezes if it.spec is None or it.spec.concerns(namespace, labels))
