"""The journal's memory of routes: what the owner wrote in each, and how to find it again after he has edited more.

The `undo` of a "route" entry: `{"routes": [{section, name, index, rest, was, stands}]}`; `was` is the list of
destinations, `rest` a digest of the route without it, `stands` the owner's name behind each of ours.  Empty for an
object that we made: it is undone by deleting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.adapters.routers.parts.shares import Split, divide, fraction, unite
from rollout.adapters.routers.parts.spots import Routing, Spot, home_of
from rollout.plan.base import Json
from rollout.plan.run import Entry


@dataclass(frozen=True, slots=True)
class Record:
    """One route as it was."""

    section: str
    name: str
    index: int
    rest: str
    was: list[Json]

    def likeness(self, spot: Spot) -> tuple[bool, bool, bool]:
        """How much a route looks like this one; more is greater."""
        return bool(self.name) and self.name == spot.name, self.rest == spot.rest, self.index == spot.place


def entry_for(journal: Sequence[Entry], found: Routing, kind: str = "route") -> Entry | None:
    """The newest journal entry of a kind about an object; one about a namesake (another UID) does not count."""
    meta, of = found.obj["metadata"], (kind, found.kind.name, found.ref.namespace, found.ref.name)
    for entry in reversed(journal):
        same = (entry.kind, entry.object_kind, entry.namespace, entry.name) == of
        if same and entry.uid in ("", meta["uid"]):
            return entry
    return None


def records(entry: Entry | None) -> list[Record]:
    """The routes in an entry."""
    if entry is None:
        return []
    return [
        Record(route["section"], route["name"], route["index"], route["rest"], route["was"])
        for route in entry.undo.get("routes", ())
    ]


def written(spot: Spot, was: list[Json], split: Split, home: str) -> bool:
    """Whether the route holds exactly what we make of these destinations, at any weight."""
    before = split.shares(was, home)
    if all(share.state == "foreign" for share in before):
        return False
    return divide(before, fraction(spot.shares) or 0, split) == spot.entries


def originals(found: Routing, known: Sequence[Record], split: Split) -> dict[str, list[Json]]:
    """What the owner wants in each of his routes to the service, by JSON pointer.

    A route that still is what we wrote gets exactly what was there.  Where the owner wrote meanwhile, only our part
    is taken out of his newest list.
    """
    home = home_of(found.obj)
    result: dict[str, list[Json]] = {}
    pairs = [
        (record.likeness(spot), -spot.place, -record.index, spot, record)
        for spot in found.steered
        for record in known
        if record.section == spot.section and written(spot, record.was, split, home)
    ]
    used: list[Record] = []
    for _, _, _, spot, record in sorted(pairs, key=lambda pair: pair[:3], reverse=True):
        if spot.path not in result and not any(record is other for other in used):
            result[spot.path] = record.was
            used.append(record)
    for spot in found.steered:
        if spot.path not in result:
            result[spot.path] = _without_us(spot, known, split, home)
    return result


def _without_us(spot: Spot, known: Sequence[Record], split: Split, home: str) -> list[Json]:
    if not spot.touched:
        return spot.entries
    alike = sorted((r for r in known if r.section == spot.section), key=lambda r: r.likeness(spot))
    like = alike[-1].was if alike else []
    return unite(spot.shares, like, split, keep=any(share.kept for share in split.shares(like, home)))


def undo_of(found: Routing, known: Sequence[Record], split: Split) -> Json:
    """The `undo` of an entry about to be written."""
    before = originals(found, known, split)
    return {
        "routes": [
            {
                "section": spot.section,
                "name": spot.name,
                "index": spot.place,
                "rest": spot.rest,
                "was": before[spot.path],
                "stands": dict(split.stands(spot.shares)),
            }
            for spot in found.steered
        ]
    }
