"""The router: who splits traffic.  A router is sans-I/O: objects in, changes out.

The engine reads what `reads` names, and hands it to the other methods.  What a router returns is a list of `Change`s
in the order in which they must be done: an empty list means that the world is already as wanted.  A router never
decides *when*; it only knows *how*.  Adding one is one module, one entry point, and the shared conformance suite.

Rules that the suite checks: `restore` after any `steer` gives back what the owner wrote, rebased on what the owner
wrote meanwhile; weights add up; foreign destinations keep their share; nothing but the named fields changes; objects
that a route names are created before and swept after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import Kind, Ref
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.cluster import Guard


class Feature(StrEnum):
    """What a router may be able to do."""

    FRACTIONS = "fractions"
    """Weights finer than whole percents."""
    SUBSETS = "subsets"
    """A traffic-only plan may shift between subsets of one Service."""
    NAMED = "named"
    """Only those routes are steered that the plan names."""
    TCP = "tcp"
    """Connections are split, not requests only."""
    MATCHES = "matches"
    """Requests that match `Backends.matches` go to the candidate whatever its weight is. Such a router's `steer` puts
    rules for them in, and takes them out where there are no matches; its `view` says whether they are in."""
    MIRROR = "mirror"
    """`Backends.mirror` percent of the requests are copied to the candidate, and what it answers is dropped. Such a
    router's `steer` sees to it that as many are, and none where it is 0; its `view` says how many are."""


@dataclass(frozen=True, slots=True)
class Read:
    """One list that a router needs; `namespace` empty means all namespaces."""

    kind: Kind
    namespace: str = ""
    optional: bool = False
    """The router can do without it. A kind that is not served is absent from what was read; an object that may not be
    read counts as an empty list."""
    about: tuple[str, ...] = ()
    """Only what may concern these Services (`name.namespace`) is of interest; everything when empty."""
    name: str = ""
    """Only the object of this name: settings of others, which may be a minute old."""
    older: tuple[Kind, ...] = ()
    """The kind in older versions: the first that is served is read, and written."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All versions, in the order in which they are tried."""
        return (self.kind, *self.older)


Concerns = Callable[[Json], Collection[str] | None]
"""Which Services (`name.namespace`) an object is about; None when it may be about any."""

Objects = Mapping[Kind, Sequence[Json]]
"""What was read, by kind in the version that is served; kinds that are not served are not in it."""


Labels = Mapping[str, str]
"""Of one pod."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """The pods that requests to the Service can find, by their labels; None where they are not known."""

    stable: Labels | None = None
    candidate: Labels | None = None
    """As they will be."""
    others: tuple[tuple[str, Labels], ...] = ()
    """Name and labels of pods that take requests and are neither stable's nor of a run."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `entry` is its journal line, or None when an earlier line already covers it."""

    op: Literal["create", "patch", "delete"]
    ref: Ref
    what: str
    """For people: `VirtualService/web: 10 % to web-canary`."""
    body: Json | Sequence[Json] = field(default_factory=dict)
    """The object for create, the JSON patch for patch."""
    guard: Guard | None = None
    """Always there for patch and delete."""
    entry: Entry | None = None
    foreground: bool = False
    groundwork: bool = False
    """Routes will name it: it is written alone, and let settle, before they do."""


@dataclass(frozen=True, slots=True)
class RouteView:
    """What the routes say now.

    `home`: as the owner wrote them, nothing of ours in them.  `steered`: each route to the service is split by us, and
    `weight` is the candidate's percent.  `mixed`: some routes are ours and some are not, or their weights differ:
    a write is missing, or somebody else wrote (`drift` says what).
    """

    where: Literal["home", "steered", "mixed"]
    weight: float = 0.0
    drift: str = ""
    leftovers: tuple[Ref, ...] = ()
    """Objects of this run that still exist (subset objects, routes we made)."""
    pending: str = ""
    """Why what is written does not hold yet: whoever makes it come true has not looked at it. Empty if nobody says."""
    refused: str = ""
    """Why what is written will not hold: whoever makes it come true has looked at it, and refuses."""
    matched: bool = False
    """Rules of ours lead chosen requests to the candidate; they are all there unless `where` is `mixed`."""
    mirrored: float = 0.0
    """Percent of the requests that routes copy to the candidate, all the same unless `where` is `mixed`."""


ALL_WRITES: Final = ("create", "patch", "delete")
"""Of a kind that a router makes objects of, and patches its owner's."""
NOBODY: Final = Crowd()
"""When no pods are known."""


class Router(Protocol):
    """One way to split traffic. Stateless."""

    name: str
    features: frozenset[Feature]
    concerns: Mapping[Kind, Concerns]
    """For kinds that are read of all namespaces: what an object is about, so that a cache can find it."""
    retired: str
    """Why nobody should begin with it, and what to use instead; empty for a router with a future."""

    @property
    def part(self) -> str:
        """The part of an installation that brings its rights; routers that write the same kinds may share one.

        Empty for one that every installation can use.
        """
        ...

    @property
    def splits(self) -> str:
        """What it splits traffic with, in words, for the role that has its rights."""
        ...

    @property
    def writes(self) -> Mapping[Kind, Collection[str]]:
        """What it does to which kinds, in all versions: `create`, `patch`, `delete`."""
        ...

    def reads(self, backends: Backends) -> tuple[Read, ...]:
        """What the other methods need to see."""
        ...

    def view(self, backends: Backends, objects: Objects) -> RouteView:
        """What the routes say now."""
        ...

    def steer(
        self,
        backends: Backends,
        objects: Objects,
        weight: float,
        journal: Sequence[Entry],
        owner: Mapping[str, Any],
    ) -> tuple[Change, ...]:
        """What to write so that the candidate gets `weight` percent and stable the rest; 0 pins to stable.

        `owner` is metadata (labels, annotations) that every created object must carry.
        """
        ...

    def restore(self, backends: Backends, objects: Objects, journal: Sequence[Entry]) -> tuple[Change, ...]:
        """What to write so that all routes are the owner's again."""
        ...

    def sweep(self, backends: Backends, objects: Objects) -> tuple[Change, ...]:
        """Deletes of what we created and no route names any more."""
        ...

    def findings(self, backends: Backends, objects: Objects, crowd: Crowd = NOBODY) -> tuple[Finding, ...]:
        """What would hide or break our routes, found before anything is written."""
        ...

    def unreached(self, backends: Backends, objects: Objects, pods: Sequence[Labels]) -> Sequence[str]:
        """For each pod of the candidate, why requests would not find it; empty where they would."""
        ...
