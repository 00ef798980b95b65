"""RO36x: change windows, and what plans wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rollout.errors import InvalidInput
from rollout.plan.base import seconds
from rollout.plan.cron import cron, zone_of
from rollout.plan.finding import Level
from rollout.plan.lint import adopted, rule
from rollout.plan.lint.rule import Hit
from rollout.plan.waits import circle
from rollout.plan.window import LONGEST, Window, Windows

_SOME_DAY: Final = 1_767_225_600.0
"""2026-01-01: windows that never open do not, whatever day it is."""
ZONE: Final = "name it as Europe/Paris, or UTC"
START: Final = "write minute, hour, day of the month, month and weekday: 0 9 * * mon-fri"


Placed = tuple[str, Window]
"""A window, and where it is written."""


def placed(windows: Windows) -> Iterator[Placed]:
    """The windows of a plan."""
    for name, some in (("allow", windows.allow), ("deny", windows.deny)):
        yield from ((f"spec.windows.{name}[{index}]", it) for index, it in enumerate(some))


def unreadable_starts(windows: Iterable[Placed]) -> Iterator[Hit]:
    """What cron does not understand."""
    for path, window in windows:
        try:
            cron(window.start)
        except InvalidInput as error:
            yield Hit(f"{path}.start", str(error))


def unknown_zones(windows: Iterable[Placed]) -> Iterator[Hit]:
    """Hours of a clock that nobody knows."""
    for path, window in windows:
        try:
            zone_of(window.time_zone)
        except InvalidInput as error:
            yield Hit(f"{path}.timeZone", str(error))


def senseless_lengths(windows: Iterable[Placed]) -> Iterator[Hit]:
    """Too short to be met, or too long to be a window."""
    for path, window in windows:
        if not 60 <= seconds(window.duration) <= LONGEST:
            yield Hit(f"{path}.duration", f"a window of {window.duration} is not between a minute and 31 days long")


def _never(windows: Windows) -> Iterator[Hit]:
    try:
        opens = windows.opens(_SOME_DAY)
    except InvalidInput:
        return  # said by another rule
    if opens is None:
        yield Hit("spec.windows", "no moment is allowed: nothing would ever start")


@rule.rule("RO360", Level.ERROR, "The start of a window cannot be read", START)
def unreadable(subject: rule.Subject) -> Iterator[Hit]:
    """No window would ever open."""
    return unreadable_starts(placed(subject.spec.windows))


@rule.rule("RO361", Level.ERROR, "A window is by the clock of no time zone", ZONE)
def unknown_zone(subject: rule.Subject) -> Iterator[Hit]:
    """Hours of a clock that nobody knows."""
    return unknown_zones(placed(subject.spec.windows))


@rule.rule("RO362", Level.ERROR, "A window is too short or too long", "give it a minute at least, 31 days at most")
def no_length(subject: rule.Subject) -> Iterator[Hit]:
    """A window without a length never is; one of months is no window."""
    return senseless_lengths(placed(subject.spec.windows))


@rule.rule("RO363", Level.ERROR, "Windows never open", "leave the plan a time in which it may go on")
def never(subject: rule.Subject) -> Iterator[Hit]:
    """What is allowed is denied as well."""
    return _never(subject.spec.windows)


@rule.rule("RO367", Level.ERROR, "Plans wait for each other in a circle", "take one of them out of dependsOn")
def waits_for_itself(subject: rule.Subject) -> Iterator[Hit]:
    """None of them would ever begin."""
    found = circle(subject.plan.metadata.name, subject.known.waits)
    if found:
        yield Hit("spec.dependsOn", f"nobody would begin: {' waits for '.join(found)}")


@adopted.rule("RO364", Level.ERROR, "The start of an adoption's window cannot be read", START)
def unreadable_of_adoption(subject: adopted.Adopted) -> Iterator[Hit]:
    """As RO360."""
    return unreadable_starts(placed(subject.spec.windows))


@adopted.rule("RO365", Level.ERROR, "A window of an adoption is by the clock of no time zone", ZONE)
def unknown_zone_of_adoption(subject: adopted.Adopted) -> Iterator[Hit]:
    """As RO361."""
    return unknown_zones(placed(subject.spec.windows))


@adopted.rule("RO366", Level.ERROR, "The windows of an adoption never open", "leave it a time in which it may go on")
def never_of_adoption(subject: adopted.Adopted) -> Iterator[Hit]:
    """As RO362 and RO363."""
    return iter([*senseless_lengths(placed(subject.spec.windows)), *_never(subject.spec.windows)])
