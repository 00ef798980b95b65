"""Rules about manifests, and what they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rollout.plan.finding import Level
from rollout.plan.lint.manifests.files import Files, Given
from rollout.plan.lint.manifests.node import Node
from rollout.plan.lint.rule import Hit, Rulebook


@dataclass(frozen=True, slots=True)
class Case:
    """One manifest under lint, and all that were given with it."""

    given: Given
    files: Files

    @property
    def spec(self) -> Node:
        """The manifest's spec."""
        return self.given.spec

    @property
    def namespace(self) -> str:
        """The manifest's namespace; empty when the file leaves it open."""
        return self.given.namespace


MANIFESTS: Final = Rulebook[Case]()
"""The rules about manifests."""

Check = Callable[[Case], Iterable[Hit]]


def rule(code: str, level: Level, text: str, fix: str, *kinds: str) -> Callable[[Check], Check]:
    """Register a function as the rule with this code; it is asked about manifests of these kinds, or of all."""

    def register(check: Check) -> Check:
        def applies(case: Case) -> Iterator[Hit]:
            if not kinds or case.given.kind in kinds:
                yield from check(case)

        MANIFESTS.rule(code, level, text, fix)(applies)
        return check

    return register
