"""RO37x: freezes.  One that cannot be read keeps everything where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.plan.finding import Level
from rollout.plan.lint.rule import Hit, Rulebook
from rollout.plan.lint.windows import START, ZONE, Placed, senseless_lengths, unknown_zones, unreadable_starts
from rollout.plan.objects import ChangeFreeze

FREEZES: Final = Rulebook[ChangeFreeze]()
"""The rules about freezes."""
rule = FREEZES.rule


def _placed(freeze: ChangeFreeze) -> Iterator[Placed]:
    yield from ((f"spec.windows[{index}]", it) for index, it in enumerate(freeze.spec.windows))


@rule("RO369", Level.ERROR, "The start of a freeze's window cannot be read", START)
def unreadable(freeze: ChangeFreeze) -> Iterator[Hit]:
    """As RO360."""
    return unreadable_starts(_placed(freeze))


@rule("RO370", Level.ERROR, "A window of a freeze is by the clock of no time zone", ZONE)
def unknown_zone(freeze: ChangeFreeze) -> Iterator[Hit]:
    """As RO361."""
    return unknown_zones(_placed(freeze))


@rule("RO371", Level.ERROR, "A window of a freeze is too short or too long", "give it a minute to 31 days")
def no_length(freeze: ChangeFreeze) -> Iterator[Hit]:
    """As RO362."""
    return senseless_lengths(_placed(freeze))
