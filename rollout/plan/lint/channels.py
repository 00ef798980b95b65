"""RO27x: channels.  A channel that is wrong is silent, and nobody misses what he never heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rollout.plan.finding import Level
from rollout.plan.lint.rule import Hit, Known, Rulebook
from rollout.plan.mistakes import closest
from rollout.plan.objects import NotificationChannel


@dataclass(frozen=True, slots=True)
class Wired:
    """A channel under lint."""

    channel: NotificationChannel
    known: Known


CHANNELS: Final = Rulebook[Wired]()
"""The rules about channels."""
rule = CHANNELS.rule


@rule("RO273", Level.ERROR, "There is no such type of channel", "name an installed one: rollout version")
def unknown_type(it: Wired) -> Iterator[Hit]:
    """A type that no plug-in brings."""
    wanted, there = it.channel.spec.type, it.known.channels
    if there is not None and wanted not in there:
        yield Hit("spec.type", f"there is no type {wanted}", closest(wanted, there))


@rule("RO274", Level.ERROR, "The type needs a field that is missing", "add it")
def lacks_fields(it: Wired) -> Iterator[Hit]:
    """None of the sets of fields that the type can live with is complete."""
    spec = it.channel.spec
    needs = (it.known.channels or {}).get(spec.type)
    given = set(spec.model_dump(by_alias=True, exclude_none=True))
    if needs is not None and not any(fields <= given for fields in needs):
        wanted = " or ".join(" and ".join(sorted(fields)) for fields in needs)
        yield Hit("spec", f"a channel of type {spec.type} needs {wanted}")


@rule("RO275", Level.ERROR, "There is no such time zone", "name it as Europe/Paris, or UTC")
def unknown_zone(it: Wired) -> Iterator[Hit]:
    """Quiet hours by a clock that nobody knows."""
    hours, zones = it.channel.spec.quiet_hours, it.known.zones
    if hours is not None and zones is not None and hours.time_zone not in zones:
        yield Hit("spec.quietHours.timeZone", f"there is no time zone {hours.time_zone}")


@rule("RO276", Level.ERROR, "No event has this reason", "rollout events PLAN shows those that came")
def unknown_reason(it: Wired) -> Iterator[Hit]:
    """A reason that never comes."""
    for index, reason in enumerate(it.channel.spec.events.reasons):
        if it.known.reasons is not None and reason not in it.known.reasons:
            yield Hit(
                f"spec.events.reasons[{index}]", f"no event has the reason {reason}", closest(reason, it.known.reasons)
            )


@rule("RO277", Level.ERROR, "The template names something that there is not", "name one of those that there are")
def unknown_placeholder(it: Wired) -> Iterator[Hit]:
    """A placeholder that would be printed as it is."""
    for name in it.channel.spec.template.unknown:
        yield Hit("spec.template", f"${{{name}}} is nothing that can be filled in")
